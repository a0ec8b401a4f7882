"""The methods. The folder is the registry: a file with a `Config` is a method of its name."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def methods() -> dict[str, ModuleType]:
    """Every method by name, in alphabetical order. Imports no torch."""
    names = sorted(module.name for module in iter_modules(__path__))
    found = {name: import_module(f"{__name__}.{name}") for name in names}
    return {name: module for name, module in found.items() if hasattr(module, "Config")}


def method(name: str) -> ModuleType:
    """One method. Raises `KeyError` with the names there are."""
    found = methods()
    if name not in found:
        raise KeyError(f"There is no method {name!r}; there are {', '.join(found)}.")
    return found[name]
