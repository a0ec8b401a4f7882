"""Pairs of a better and a worse completion of one prompt, and where the preference comes from.

* `rankings`: utilities over all judges (`training/rewards/from_ranking.py`); a tie gives no pair.
* `reviews`: an accepted one beside a rejected one.
* `correct`: a right answer beside a wrong one.

A pair that several sources know comes from the first of them that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from pydantic import Field

from training.export.groups import Group, Options, Row, Said, Skip, answered, prompt, reply, turn
from training.rewards.from_ranking import Reading, from_ranking

Source = Literal["rankings", "reviews", "correct"]
Valued = list[tuple[Said, float]]


class PairOptions(Options):
    """Which pairs to make."""

    pairs_from: list[Source] = Field(
        ["rankings"],
        min_length=1,
        title="Pairs from",
        description="rankings: of people and judges. reviews: accepted beside rejected. "
        "correct: a right answer beside a wrong one.",
    )
    pairs: Literal["all", "best_worst", "adjacent"] = Field(
        "all",
        title="Which pairs",
        description="Of n completions in order: every two, the first with the last, or neighbours.",
    )
    reading: Reading = Field(
        "plackett_luce",
        title="Reading of rankings",
        description="How the ranks of several judges become one order.",
    )
    margin: float = Field(
        0.0,
        ge=0,
        title="Margin",
        description="The difference in utility that a pair from rankings has to exceed.",
    )


@dataclass(frozen=True)
class Pair:
    """A preference with its source and the difference in utility (1 where none is graded)."""

    chosen: Said
    rejected: Said
    source: Source
    difference: float


def pairs_of(group: Group, config: PairOptions, skip: Skip) -> list[Pair]:
    """The pairs of a group; if there is none, `skip` is told why."""
    completions = answered(group, skip)
    found: dict[frozenset[str], Pair] = {}
    reasons = []
    for source in config.pairs_from:
        valued, wanting = _VALUES[source](group, completions, config)
        margin = config.margin if source == "rankings" else 0.0
        pairs = list(_chosen(valued, source, margin, config))
        if not pairs:
            reasons.append(wanting or "no difference is above the margin")
        for pair in pairs:
            if reply(group, pair.chosen, config) != reply(group, pair.rejected, config):
                found.setdefault(frozenset({pair.chosen.id, pair.rejected.id}), pair)
    if not found:
        skip(group.id, f"No pair: {'; '.join(reasons) or 'the texts are the same'}")
    return list(found.values())


def _chosen(valued: Valued, source: Source, margin: float, config: PairOptions) -> Iterator[Pair]:
    order = sorted(valued, key=lambda entry: -entry[1])
    if config.pairs == "best_worst":
        couples = [(order[0], order[-1])] if len(order) > 1 else []
    elif config.pairs == "adjacent":
        couples = list(pairwise(order))
    else:
        couples = [(better, worse) for n, better in enumerate(order) for worse in order[n + 1 :]]
    for (better, high), (worse, low) in couples:
        if high - low > margin:
            yield Pair(better, worse, source, round(high - low, 6))


def _ranked(group: Group, said: list[Said], config: PairOptions) -> tuple[Valued, str]:
    ids = [one.id for one in said]
    utilities, present = from_ranking(ids, [r.ranks for r in group.rankings], config.reading)
    valued = [
        (one, utility) for one, utility, here in zip(said, utilities, present, strict=True) if here
    ]
    if not valued:
        return [], "nobody ranked two of its rationales"
    tied = len({utility for _, utility in valued}) == 1
    return valued, "all that are ranked tie" if tied else ""


def _reviewed(group: Group, said: list[Said], config: PairOptions) -> tuple[Valued, str]:
    valued = [(one, float(one.accepted)) for one in said if one.accepted is not None]
    return valued, "no accepted one stands beside a rejected one"


def _marked(group: Group, said: list[Said], config: PairOptions) -> tuple[Valued, str]:
    marks = [(one, one.scores.get("answer_correct")) for one in said]
    valued = [(one, float(mark)) for one, mark in marks if mark is not None]
    return valued, "no right answer stands beside a wrong one"


_VALUES = {"rankings": _ranked, "reviews": _reviewed, "correct": _marked}


def conversation(group: Group, pair: Pair, config: Options) -> tuple[list[Row], Row, Row]:
    """Prompt, chosen and rejected, as turns."""
    return (
        prompt(group, config),
        turn("assistant", reply(group, pair.chosen, config)),
        turn("assistant", reply(group, pair.rejected, config)),
    )


def about(pair: Pair) -> Row:
    """What we know of a pair."""
    return {
        "chosen": pair.chosen.id,
        "rejected": pair.rejected.id,
        "source": pair.source,
        "difference": pair.difference,
        "authors": [pair.chosen.author, pair.rejected.author],
    }
