"""Which rationales of a question go into a dataset version. The folder is the registry.

A selection is one file of this folder. It defines `TITLE` and `HELP`, a line each for a person,
`Config`, its settings, and

    select(question, config) -> one verdict for each of `question.candidates`, in their order

where a verdict is None (keep it) or the reason in words why it is left out. A selection that
compares what is left, and takes the best of it, defines besides

    rank(questions, config) -> for each question one verdict for each of its candidates

Its questions hold only candidates that `select` kept and that are no duplicates, without their
texts, and `considered`, how many there were at first. `rank` is asked for one question at a time,
or, where `config.over_dataset` says so, for all questions of a split at once; never for two splits
together, so that no test question has a say in what is trained on. Pure, and importable without
torch or Django.
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
