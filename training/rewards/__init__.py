"""Reward functions. The folder is the registry: a file lists its own in `REWARDS`.

A reward is a function `(question, thought, answer) -> float | None`; None means "cannot say", and
such a completion leaves its group. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from training.decoding.record import Question

Reward = Callable[[Question, str, str], float | None]


@cache
def reward_functions() -> dict[str, Reward]:
    """Every reward function by name."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    return {
        name: function
        for module in modules
        for name, function in getattr(module, "REWARDS", {}).items()
    }
