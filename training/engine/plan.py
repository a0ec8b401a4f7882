"""The batch plan: a table of which groups each optimizer step trains on, known before the first."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, pi

from training.engine.seeds import seed_for
from training.methods.base import Group


@dataclass(frozen=True)
class Step:
    """One optimizer step: the round it belongs to and the places of its groups in that round."""

    number: int  # from 1
    round: int  # from 0
    places: tuple[int, ...]


def plan(sizes: Sequence[int], epochs: int, groups_per_step: int, seed: int) -> list[Step]:
    """Every step of a run whose rounds have `sizes` groups. Each epoch has an order of its own."""
    steps: list[Step] = []
    for round_number, size in enumerate(sizes):
        for epoch in range(epochs):
            order = list(range(size))
            random.Random(seed_for(seed, "order", round_number, epoch)).shuffle(order)
            for start in range(0, size, groups_per_step):
                places = tuple(order[start : start + groups_per_step])
                steps.append(Step(len(steps) + 1, round_number, places))
    return steps


def micro_batches(groups: Sequence[Group], tokens: int) -> Iterator[list[Group]]:
    """Split a step into forwards of at most `tokens` padded tokens, like prompts together: the
    forward puts like completions together by itself."""
    batch: list[Group] = []
    for group in sorted(groups, key=lambda group: (len(group.prompt), longest(group))):
        if batch and padded_tokens([*batch, group]) > tokens:
            yield batch
            batch = []
        batch.append(group)
    if batch:
        yield batch


def longest(group: Group) -> int:
    """The longest completion of a group, in tokens."""
    return max(map(len, group.completions))


def padded_tokens(groups: Sequence[Group]) -> int:
    """The tokens that one forward of these groups computes, padding included."""
    rows = sum(len(group.completions) for group in groups)
    prompts = len(groups) * max(len(group.prompt) for group in groups)
    return prompts + rows * max(map(longest, groups))


def learning_rate(step: int, total: int, peak: float, warmup: float, schedule: str) -> float:
    """The rate of step `step` (from 1) of `total`: a straight rise, then the schedule's fall.

    A pure function of the step, so that a resume has nothing to restore.
    """
    rise = round(warmup * total)
    if step <= rise:
        return peak * step / rise
    if schedule == "constant":
        return peak
    done = (step - rise - 1) / max(1, total - rise)  # 0 at the peak, below 1 at the last step
    return peak * (1 - done if schedule == "linear" else (1 + cos(pi * done)) / 2)
