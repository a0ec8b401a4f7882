"""What passes between reader, shape and loader."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from curation.models import AnswerKind, text_hash

TEACHER, STUDENT, HUMAN = "teacher", "student", "human"


class UnreadableFile(Exception):
    """Nothing can be read from this file; the message is one sentence for the person."""


class BadRow(Exception):
    """This row cannot be taken in, because of this field."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field, self.reason = field, reason


@dataclass(frozen=True, slots=True)
class Row:
    """One row as the file has it. `line` counts from 1: lines of JSONL and CSV, items otherwise.

    Where the row itself could not be read, `problem` says why and `fields` is empty.
    """

    line: int
    fields: dict[str, Any]
    problem: str = ""
    nuls: int = 0


@dataclass(frozen=True, slots=True)
class DraftRationale:
    """A rationale to be: `author` is the name of an imported language model."""

    role: str
    author: str
    thought: str
    answer: str
    token_count: int | None = None


@dataclass(frozen=True)
class Draft:
    """What one row says. Empty texts mean that the row does not say it."""

    text: str
    reference_answer: str = ""
    answer_kind: str = AnswerKind.NUMBER
    external_id: str = ""
    split: str = ""
    source: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    rationales: tuple[DraftRationale, ...] = ()

    @cached_property
    def text_hash(self) -> str:
        return text_hash(self.text)


@dataclass(frozen=True)
class Names:
    """The imported authors to whom texts are put down that do not name theirs."""

    human: str = ""
    teacher: str = ""
    student: str = ""

    def or_else(self, default: Names) -> Names:
        return Names(
            self.human or default.human,
            self.teacher or default.teacher,
            self.student or default.student,
        )
