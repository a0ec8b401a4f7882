"""What an import would do, before it does it: the first rows as they will be read, and counts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from curation.artifacts import open_artifact
from curation.ingest.load import refuse_too_long
from curation.ingest.mapping import guessed
from curation.ingest.plan import DETECT_ROWS, Plan, Reading, settle
from curation.ingest.readers import Table
from curation.ingest.record import BadRow, Draft, Row, UnreadableFile

SHOWN_ROWS = 5
SHOWN_PROBLEMS = 10
MOST_FIELDS = 300
SECONDS = 0.12  # a person waits; what is beyond is not counted, only said


@dataclass
class Problem:
    line: int
    field: str
    reason: str


@dataclass
class Preview:
    """`error` is the sentence for a file that cannot be imported so; `fields` can be mapped."""

    format: str = ""
    error: str = ""
    reading: Reading | None = None
    fields: list[str] = field(default_factory=list)
    guess: dict[str, str] = field(default_factory=dict)
    samples: list[tuple[int, Draft, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    problems_total: int = 0
    rows: int = 0
    whole: bool = False  # every row was looked at
    expected: int | None = None
    # Plain dicts: a template that asks a Counter for `items` is told 0.
    rationales: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)

    def look(self, row: Row) -> None:
        """Count a row, and keep it if it is one of the first."""
        assert self.reading is not None
        self.rows += 1
        try:
            if row.problem:
                raise BadRow("", row.problem)
            draft = self.reading.draft(row)
            refuse_too_long(draft)
        except BadRow as error:
            self.problems_total += 1
            if len(self.problems) < SHOWN_PROBLEMS:
                self.problems.append(Problem(row.line, error.field, error.reason))
            return
        split = self.reading.split_of(draft)
        self.splits[split] = self.splits.get(split, 0) + 1
        for rationale in draft.rationales:
            self.rationales[rationale.role] = self.rationales.get(rationale.role, 0) + 1
        if len(self.samples) < SHOWN_ROWS:
            self.samples.append((row.line, draft, split))


def preview(plan: Plan, seconds: float = SECONDS) -> Preview:
    """Read the first rows, and go on for `seconds`. Never raises for what the file holds."""
    seen = Preview()
    try:
        with open_artifact(plan.file) as file:
            _fill(seen, Table(file, plan.name), plan, seconds)
    except UnreadableFile as error:
        seen.error = str(error)
    except FileNotFoundError:
        seen.error = "The uploaded file is gone. Upload it again."
    return seen


def _fill(seen: Preview, table: Table, plan: Plan, seconds: float) -> None:
    seen.format = table.format
    first: list[Row] = []
    end = time.monotonic() + seconds
    for row in table:
        if len(first) < DETECT_ROWS:
            first.append(row)
            if len(first) == DETECT_ROWS:
                _settle(seen, first, plan)
        else:
            seen.look(row)
            if time.monotonic() > end:
                break
    else:
        seen.whole = True
        if len(first) < DETECT_ROWS:
            _settle(seen, first, plan)
    seen.expected = seen.rows if seen.whole else table.expected


def _settle(seen: Preview, first: list[Row], plan: Plan) -> None:
    seen.fields = list(dict.fromkeys(name for row in first for name in row.fields))
    # A form of thousands of choices could not be sent back.
    seen.guess = plan.mapping or guessed(seen.fields if len(seen.fields) <= MOST_FIELDS else [])
    seen.reading = settle(plan, first)
    for row in first:
        seen.look(row)
