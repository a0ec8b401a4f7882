"""Reward functions. The folder is the registry: a file lists its own in `REWARDS`.

A reward is a function `(question, sample) -> float | None`; None means "cannot say", and such a
completion leaves its group. Pure, and importable without torch. What it may look at is a `Sample`:
the text as it was written, its thought and answer, how many tokens it has and might have had, and
what ended it. The module's docstring says formula, range, source and traps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from training.decoding.record import Question
from training.rewards.sample import Sample

Reward = Callable[[Question, Sample], float | None]


@cache
def reward_functions() -> dict[str, Reward]:
    """Every reward function by name, in the order of the names."""
    found = {
        name: function
        for module in _modules()
        for name, function in getattr(module, "REWARDS", {}).items()
    }
    return dict(sorted(found.items()))


@cache
def known_of_stored_only() -> frozenset[str]:
    """The rewards that have nothing to say of a completion that was drawn a moment ago."""
    return frozenset(name for module in _modules() for name in getattr(module, "STORED_ONLY", ()))


def _modules() -> list[ModuleType]:
    return [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
