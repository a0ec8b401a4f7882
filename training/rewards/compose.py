"""Several rewards become one: a weighted sum in which a missing value is missing, not zero.

A reward that cannot say, says something that is no number, raises, or runs out of time has no
value; the fault is kept beside the values, is counted by the reward's name, and takes the
completion out of its group. A silent 0 would be read as bad, and trained against.
"""

from __future__ import annotations

import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum, isfinite, nan
from typing import Any, Literal

from training.decoding.record import Question
from training.rewards import Reward, reward_functions
from training.rewards.sample import Sample

Fault = Literal["missing", "not_finite", "errors", "timeouts"]
Values = dict[str, float | None]


@dataclass(frozen=True)
class Scored:
    """The rewards of one completion by name: a finite value, or None and a fault."""

    values: Values = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)


def scored(question: Question, sample: Sample, weights: Mapping[str, float]) -> Scored:
    """Every reward named in `weights` for one completion. Raises `KeyError` on an unknown name."""
    functions = reward_functions()
    found = {name: valued(functions[name], question, sample) for name in weights}
    return Scored(
        values={name: value for name, (value, _) in found.items()},
        faults={name: fault for name, (_, fault) in found.items() if fault is not None},
    )


def valued(reward: Reward, question: Question, sample: Sample) -> tuple[float | None, Fault | None]:
    """A finite value, or the reason why there is none."""
    try:
        value = reward(question, sample)
        finite = value is not None and isfinite(value)
    except TimeoutError:
        return None, "timeouts"
    except Exception as error:  # one reward's bug on one completion must not end a run of days
        _warn(reward, error)
        return None, "errors"
    if finite:
        return value, None
    return None, "missing" if value is None else "not_finite"


def _warn(reward: Reward, error: Exception) -> None:
    """Say where it raised, in the same words each time: Python's warnings show them once."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{place.filename}:{place.lineno}"
    kind, name = type(error).__name__, getattr(reward, "__name__", "?")
    warnings.warn(f"The reward {name} raised {kind} at {where}.", RuntimeWarning, stacklevel=2)


def combined(
    values: Sequence[Mapping[str, float | None]], weights: Mapping[str, float]
) -> tuple[list[float], list[bool]]:
    """Rewards `[N]` and present `[N]` of N completions; weights may be negative.

    A completion with any missing or NaN reward leaves the group.
    """
    rewards = [_sum(entry, weights) for entry in values]
    return rewards, [isfinite(reward) for reward in rewards]


def _sum(values: Mapping[str, float | None], weights: Mapping[str, float]) -> float:
    named = [(values.get(name), weight) for name, weight in weights.items()]
    if any(value is None or not isfinite(value) for value, _ in named):
        return nan
    return sum(weight * value for value, weight in named if value is not None)


# --- What the log says ----------------------------------------------------------------------------


def scored_facts(groups: Iterable[Sequence[Scored]]) -> dict[str, float]:
    """For the metrics of a step: faults by kind and by name, and each reward's own mean where
    there are several. `reward_errors` counts completions with a reward that raised,
    `valid_steps_missing` those about which that reward could not say anything,
    `groups_unscored` groups in which fewer than two are left. What did not happen is not there."""
    listed = [group for group in groups if group]
    everything = [one for group in listed for one in group]
    facts: Counter[str] = Counter()
    if unscored := sum(sum(not one.faults for one in group) < 2 for group in listed):
        facts["groups_unscored"] = unscored
    for one in everything:
        facts.update(f"reward_{fault}" for fault in set(one.faults.values()))
        facts.update(f"{name}_{fault}" for name, fault in one.faults.items())
    return {**facts, **_means(everything)}


def _means(scored: Sequence[Scored]) -> dict[str, float]:
    known: dict[str, list[float]] = defaultdict(list)
    for one in scored:
        for name, value in one.values.items():
            known[name] += [] if value is None else [value]
    if len(known) < 2:
        return {}
    return {f"{name}_mean": fsum(values) / len(values) for name, values in known.items() if values}


def fault_counts(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """`{"answer_symbolic": {"timeouts": 3}}` of rows of `samples.jsonl`, for `result.json`."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for name, fault in row.get("faults", {}).items():
            counts[name][fault] += 1
    return {name: dict(counts[name]) for name in sorted(counts)}
