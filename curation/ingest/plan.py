"""How a file is to be read: its shape or mapping, and what the person said about all of it.

The plan is what a job stores as its `params`, so a preview, a job and the command line agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import PurePosixPath
from typing import Any

from curation.ingest.mapping import Mapping, checked
from curation.ingest.readers import Table
from curation.ingest.record import Draft, Names, Row, UnreadableFile
from curation.ingest.shapes import detect, shape_named
from curation.ingest.shapes.base import SPLITS, Shape
from curation.models import Split

DETECT_ROWS = 50
MOST_NAMES = 30
_SPLIT_IN_NAME = re.compile(r"(?<![a-z])(train|training|validation|valid|val|dev|test)(?![a-z])")


@dataclass(frozen=True)
class Plan:
    """`file` is the artifact's URI, `name` the file's own name. Empty means: find it out."""

    file: str
    name: str
    mapping: dict[str, str] = field(default_factory=dict)
    split: str = ""
    source: str = ""
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.split and self.split not in Split.values:
            raise UnreadableFile(
                f"There is no split {self.split!r}: it is train, validation or test."
            )
        unknown = sorted(set(self.names) - {"human", "teacher", "student"})
        if unknown:
            raise UnreadableFile(f"Only human, teacher and student have names, not {unknown[0]!r}.")

    def as_params(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Reading:
    """A plan settled for one file: every default found, every row still to come."""

    shape: Shape
    names: Names
    split: str
    split_from: str
    source: str
    forced_split: str

    def draft(self, row: Row) -> Draft:
        """What the row says. Raises BadRow."""
        return self.shape.read(row.fields, self.names)

    def split_of(self, draft: Draft) -> str:
        return self.forced_split or draft.split or self.split


def settle(plan: Plan, first: list[Row]) -> Reading:
    """Choose the shape by the first rows, and the split and source by the name of the file."""
    shape = _shape(plan, first)
    split, split_from = _split(plan, shape)
    return Reading(
        shape=shape,
        names=Names(**plan.names).or_else(shape.names),
        split=split,
        split_from=split_from,
        source=plan.source or PurePosixPath(plan.name).stem[:200],
        forced_split=plan.split,
    )


def begin(plan: Plan, table: Table) -> tuple[Reading, Iterator[Row]]:
    """The settled reading, and all rows from the first on."""
    rows = iter(table)
    first = list(islice(rows, DETECT_ROWS))
    return settle(plan, first), chain(first, rows)


def _shape(plan: Plan, first: list[Row]) -> Shape:
    if plan.mapping:
        return checked(plan.mapping)
    shape = detect(first)
    if shape is None:
        raise UnreadableFile(why_unknown(first))
    return shape


def why_unknown(first: list[Row]) -> str:
    """The sentence for a file whose rows nobody recognises."""
    if not first:
        return "The file holds no rows."
    bad = [row for row in first if row.problem]
    if len(bad) == len(first):
        return f"None of the first rows can be read. Row {bad[0].line}: {bad[0].problem}."
    names = list(next(row.fields for row in first if not row.problem))
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    fields = f"{', '.join(names[:MOST_NAMES]) or 'none'}{more}"
    return f"The shape of this file is not known (fields: {fields}). Say what each field is."


def _split(plan: Plan, shape: Shape) -> tuple[str, str]:
    if plan.split:
        return plan.split, "you chose it"
    found = _SPLIT_IN_NAME.search(plan.name.lower())
    if found:
        return SPLITS[found[1]], "by the name of the file"
    if shape.split:
        return shape.split, "as published"
    return Split.TRAIN, "the default"


__all__ = ["Mapping", "Plan", "Reading", "begin", "settle", "shape_named", "why_unknown"]
