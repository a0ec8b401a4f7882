"""When it is enough: rules that look at one checkpoint beside the one before and the start.

The win-rate is paired by question: of the two checkpoints' answers to a question (the greedy one
and the samples) the share of right ones decides, 1 for more, 1/2 for as many, 0 for fewer; the mean
over the questions that both were asked, with a percentile bootstrap over questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from training.measures.intervals import over_questions

Shares = Mapping[int, float]  # question -> share of right answers


@dataclass(frozen=True)
class Compared:
    """A paired figure with its 95 % interval over `n` questions."""

    value: float
    low: float
    high: float
    n: int


def win_rate(one: Shares, other: Shares) -> Compared | None:
    """How often `one` beats `other`; None where they share no question."""
    return mean_of([outcome(one[pk], other[pk]) for pk in sorted(one.keys() & other.keys())])


def gain(one: Shares, other: Shares) -> Compared | None:
    """How many more answers of `one` are right, as a share."""
    return mean_of([one[pk] - other[pk] for pk in sorted(one.keys() & other.keys())])


def outcome(mine: float, theirs: float) -> float:
    return 0.5 if mine == theirs else float(mine > theirs)


def mean_of(values: list[float]) -> Compared | None:
    if not values:
        return None
    return Compared(fmean(values), *over_questions(values), len(values))


def why_stop(
    number: int,
    against_last: Compared | None,
    rule: Literal["worse", "not_better", "never"],
    diversity: float | None,
    at_start: float | None,
    drop: float,
) -> str:
    """The sentence of the first rule that says stop; "" where none does.

    `diversity` is compared with `at_start`; `drop` is in per cent, 0 does not look.
    """
    if against_last is not None and rule != "never":
        told = (
            f"Checkpoint {number} wins {percent(against_last.value)} against checkpoint "
            f"{number - 1} ({percent(against_last.low)} to {percent(against_last.high)})"
        )
        if against_last.high < 0.5:
            return f"{told}, so it is worse."
        if rule == "not_better" and against_last.low <= 0.5:
            return f"{told}, which is not surely better."
    if drop and diversity is not None and at_start:
        fell = 100 * (1 - diversity / at_start)
        if fell >= drop:
            return f"Diversity fell by {fell:.0f} % from the start; the plan bears {drop:g} %."
    return ""


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"
