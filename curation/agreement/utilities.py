"""How good each rationale of a group is by all rankings together, as an estimate with an interval.

The arithmetic belongs to training, where ranks become rewards. It registers itself here, so that
curation knows nothing of it; without it, pages show no utilities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Utility:
    """On a scale of log odds whose mean over the group is 0: one more means e times as likely to
    be chosen. `low` and `high` hold it in 95 of 100 cases."""

    value: float
    low: float
    high: float


# Rankings (rationale → rank) in; the utility of each rationale that some ranking compares, out.
Estimate = Callable[[Sequence[Mapping[int, int]]], dict[int, Utility]]
_estimates: list[Estimate] = []


def register(estimate: Estimate) -> None:
    """Name the arithmetic; the last one named counts."""
    _estimates.append(estimate)


def utilities(rankings: Sequence[Mapping[int, int]]) -> dict[int, Utility]:
    return _estimates[-1](rankings) if _estimates else {}
