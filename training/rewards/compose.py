"""Several rewards become one: a weighted sum in which a missing value is missing, not zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan

from training.decoding.record import Question
from training.rewards import reward_functions

Values = dict[str, float | None]


def scored(
    question: Question, thought: str, answer: str, weights: Mapping[str, float]
) -> dict[str, float | None]:
    """Every reward named in `weights` for one completion. Raises `KeyError` on an unknown name."""
    functions = reward_functions()
    return {name: functions[name](question, thought, answer) for name in weights}


def combined(
    values: Sequence[Mapping[str, float | None]], weights: Mapping[str, float]
) -> tuple[list[float], list[bool]]:
    """Rewards `[N]` and present `[N]` of N completions.

    A completion with any missing or NaN reward leaves the group: a silent 0 would be read as bad.
    """
    rewards = [_sum(entry, weights) for entry in values]
    return rewards, [isfinite(reward) for reward in rewards]


def _sum(values: Mapping[str, float | None], weights: Mapping[str, float]) -> float:
    named = [(values.get(name), weight) for name, weight in weights.items()]
    if any(value is None or not isfinite(value) for value, _ in named):
        return nan
    return sum(weight * value for value, weight in named if value is not None)
