"""Which rationales of a question go into a dataset version. The folder is the registry.

A selection is one file of this folder. It defines `TITLE` and `HELP`, a line each for a person,
`Config`, its settings, and

    select(question, config) -> one verdict for each of `question.candidates`, in their order

where a verdict is None (keep it) or the reason in words why it is left out. Pure, and importable
without torch or Django.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

Verdict = str | None


@cache
def selections() -> dict[str, ModuleType]:
    """Every selection by name: `everything` first, the others in alphabetical order."""
    names = sorted((module.name for module in iter_modules(__path__)), key=_everything_first)
    found = {name: import_module(f"{__name__}.{name}") for name in names}
    return {name: module for name, module in found.items() if hasattr(module, "select")}


def _everything_first(name: str) -> tuple[bool, str]:
    return name != "everything", name


def selection(name: str) -> ModuleType:
    """One selection. Raises `KeyError` with the names there are."""
    found = selections()
    if name not in found:
        raise KeyError(f"There is no selection {name!r}; there are {', '.join(found)}.")
    return found[name]
