"""One reward for each sample of a group, from all who had a say in it.

Every source s is read as a value x between 0 and 1:

    verifier   1 if the answer is right, 0 if not          steps    share of valid steps
    judge      its mean rating on its scale of 1 to 10, or its ranks as those of people
    people     their ranks (and adjudications), each person counting by their reliability:
               mean_rank as it is, (win_rate + 1) / 2, or 1 / (1 + e^-u) of Plackett-Luce
    reviews    1 if accepted, 0 if rejected

Within one group only the sources that say something of two samples count, S_g, and then

    R_i = sum over s in S_g of w_s x_si  /  sum over s in S_g of w_s

A sample of which one of these sources says nothing has no reward: it would be compared with others
on another scale. Copies, of which people see one, share what was said of it. So a group that people
ranked is judged by all, one that they never saw by the rest, and neither is compared with the
other: methods look at the differences within a group alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, isfinite

from training.rewards.from_ranking import Ranks, Reading, from_ranking

SCALE = (1.0, 10.0)  # of the judges' rubric
Values = list[float | None]


@dataclass(frozen=True)
class Judged:
    """What is known of one sample; `copy` is equal where the words are."""

    id: int
    copy: str = ""
    verifier: float | None = None
    steps: float | None = None
    rating: float | None = None
    accepted: bool | None = None


@dataclass(frozen=True)
class Group:
    """The samples of one prompt with the ranks of people and of judges: who -> sample -> rank."""

    samples: Sequence[Judged]
    people: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    judges: Mapping[str, Mapping[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Composed:
    """The reward of one sample, None where there is none, and what each source said."""

    id: int
    value: float | None
    sources: dict[str, float]


def composed(
    group: Group,
    weights: Mapping[str, float],
    reading: Reading = "win_rate",
    reliability: Mapping[str, float] | None = None,
) -> list[Composed]:
    """The rewards of a group, in the order of its samples."""
    said = {name: values for name in weights if weights[name] > 0
            if heard(values := source(name, group, reading, reliability or {}))}  # fmt: skip
    total = sum(weights[name] for name in said)
    found = []
    for place, sample in enumerate(group.samples):
        known = {name: v for name, values in said.items() if (v := values[place]) is not None}
        whole = bool(said) and known.keys() == said.keys()
        value = sum(weights[name] * v for name, v in known.items()) / total if whole else None
        found.append(Composed(sample.id, value, known))
    return found


def heard(values: Values) -> bool:
    """Whether the source compares anything here."""
    return sum(value is not None for value in values) > 1


def source(name: str, group: Group, reading: Reading, reliability: Mapping[str, float]) -> Values:
    """x of each sample."""
    samples = group.samples
    if name == "verifier":
        return [one.verifier for one in samples]
    if name == "steps":
        return [one.steps for one in samples]
    if name == "reviews":
        return copied(samples, [None if s.accepted is None else float(s.accepted) for s in samples])
    if name == "people":
        return ranked(samples, group.people, reading, reliability)
    rated = copied(samples, [None if s.rating is None else on_scale(s.rating) for s in samples])
    return rated if heard(rated) else ranked(samples, group.judges, reading, reliability)


def on_scale(rating: float) -> float:
    low, high = SCALE
    return min(1.0, max(0.0, (rating - low) / (high - low)))


def ranked(
    samples: Sequence[Judged],
    rankings: Mapping[str, Mapping[int, int]],
    reading: Reading,
    reliability: Mapping[str, float],
) -> Values:
    """The ranks of several judges as values between 0 and 1."""
    ids = [str(one.id) for one in samples]
    ranks: list[Ranks] = [{str(pk): r for pk, r in said.items()} for said in rankings.values()]
    trusted = [reliability.get(who, 1.0) for who in rankings]
    rewards, present = from_ranking(ids, ranks, reading, trusted)
    values = [
        to_unit(r, reading) if here else None for r, here in zip(rewards, present, strict=True)
    ]
    return copied(samples, values)


def to_unit(reward: float, reading: Reading) -> float | None:
    """A reading's own range onto 0 to 1."""
    if not isfinite(reward):
        return None
    if reading == "win_rate":
        return (reward + 1) / 2
    return 1 / (1 + exp(-reward)) if reading == "plackett_luce" else reward


def copied(samples: Sequence[Judged], values: Values) -> Values:
    """What was said of one copy holds for the others."""
    by_copy = {
        one.copy: value
        for one, value in zip(samples, values, strict=True)
        if one.copy and value is not None
    }
    return [
        by_copy.get(one.copy) if value is None else value
        for one, value in zip(samples, values, strict=True)
    ]
