"""Formats that other trainers read. The folder is the registry: a file with a `SCHEMA` is a format.

A format is one file of this folder. It defines `TITLE` and `HELP`, a line each for a person,
`USE`, how to load it, as Markdown for the card, `SCHEMA`, the columns with their types, `Config`,
its options, and

    rows(group, config, skip) -> pairs of a row and what we know about it

where `group` is one prompt with its completions, and `skip(id, reason)` tells of everything that
makes no row. Pure: the frozen file of a version is all that a format sees. A row holds what the
trainer reads and nothing else (one type a column, no nulls in strings); ours goes to a sidecar.
A format may define `extra_files(files) -> {name: text}` for what its trainer wants beside the data.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


@cache
def formats() -> dict[str, ModuleType]:
    """Every format by name, in alphabetical order."""
    names = sorted(module.name for module in iter_modules(__path__))
    found = {name: import_module(f"{__name__}.{name}") for name in names}
    return {name: module for name, module in found.items() if hasattr(module, "SCHEMA")}


def export_format(name: str) -> ModuleType:
    """One format. Raises `KeyError` with the names there are."""
    found = formats()
    if name not in found:
        raise KeyError(f"There is no format {name!r}; there are {', '.join(found)}.")
    return found[name]
