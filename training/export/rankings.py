"""Whole rankings: every completion with its rank by every judge, ties and gaps kept.

`ranks[j][i]` is what `judges[j]` gave to `completions[i]`: 1 is best, equal ranks tie, null means
that this judge did not place it. `utility[i]` sums up all judges, null where nobody placed it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan

import pyarrow as pa
from pydantic import Field

from training.export.groups import MESSAGES, Group, Options, Row, Skip, prompt, reply
from training.rewards.from_ranking import Reading, from_ranking

TITLE = "Full rankings"
HELP = "prompt, completions, ranks by judge with ties and gaps, and one utility for each."
SCHEMA = pa.schema(
    [
        ("prompt", MESSAGES),
        ("completions", pa.list_(pa.string())),
        ("judges", pa.list_(pa.string())),
        ("ranks", pa.list_(pa.list_(pa.int64()))),
        ("n_annotators", pa.int64()),
        ("utility", pa.list_(pa.float64())),
    ]
)
USE = """`ranks[j][i]` is the rank that `judges[j]` gave to `completions[i]`: 1 is best, equal ranks
are ties, null means not placed (unknown, not last). `n_annotators` counts the people among the
judges. `utility` sums the judges up; null where nobody placed the completion."""


class Config(Options):
    """How ranks are summed up."""

    reading: Reading = Field(
        "plackett_luce",
        title="Reading of rankings",
        description="How the ranks of several judges become one utility.",
    )


def rows(group: Group, config: Config, skip: Skip) -> Iterator[tuple[Row, Row]]:
    """One row for each group of which somebody ranked two completions or more."""
    ids = [one.id for one in group.completions]
    utility, present = from_ranking(ids, [r.ranks for r in group.rankings], config.reading)
    if not any(present):
        skip(group.id, "Nobody ranked two of its rationales")
        return
    row = {
        "prompt": prompt(group, config),
        "completions": [reply(group, one, config) for one in group.completions],
        "judges": [ranking.judge for ranking in group.rankings],
        "ranks": [[ranking.ranks.get(key) for key in ids] for ranking in group.rankings],
        "n_annotators": sum(ranking.kind == "person" for ranking in group.rankings),
        "utility": [None if isnan(value) else value for value in utility],
    }
    yield row, {"rationales": ids, "authors": [one.author for one in group.completions]}
