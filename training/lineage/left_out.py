"""Why a version does not hold a rationale: one line of a file, found by halving.

`left_out.jsonl` is written in the order of the questions' keys, so a file of a million lines is
asked some twenty times for a few hundred bytes, and is never read through.
"""

from __future__ import annotations

import json
from typing import IO, Any

from curation.models import DatasetVersion, Rationale
from training.runs.storing import FileGone, opened
from training.versions.freezing import left_out_file

NOT_YET = "It was not written yet"
GONE = "Its list of what was left out is gone from the artifact store"
UNSAID = "It was not considered"


def reason(version: DatasetVersion, rationale: Rationale) -> str:
    """In words, why the version leaves the rationale out."""
    if rationale.created_at > version.created_at:
        return NOT_YET
    try:
        with opened(left_out_file(version)) as file:
            return _find(file, rationale.question_id, rationale.pk) or UNSAID
    except FileGone:
        return GONE


def _find(file: IO[bytes], question: int, rationale: int) -> str:
    """The reason in the rationale's line; empty if there is none."""
    file.seek(_first_of(file, question))
    for line in file:
        row = json.loads(line)
        if int(row["question"]) > question:
            return ""
        if int(row["rationale"]) == rationale:
            return str(row["reason"])
    return ""


def _first_of(file: IO[bytes], question: int) -> int:
    """Where a line begins behind which, or at which, the question's lines are the first to come."""
    low, high = 0, file.seek(0, 2)
    while low < high:
        middle = (low + high) // 2
        begin, row = _line_at(file, middle)
        if row is None or int(row["question"]) >= question:
            high = middle
        else:
            low = begin + 1
    return _line_at(file, low)[0]


def _line_at(file: IO[bytes], place: int) -> tuple[int, dict[str, Any] | None]:
    """The first line that begins at `place` or later: where it begins, and what it says."""
    file.seek(max(0, place - 1))
    if place:
        file.readline()
    begin = file.tell()
    line = file.readline()
    return begin, json.loads(line) if line.strip() else None
