"""What an import did: counts, every row left out with its reason, and what is worth knowing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from curation.wording import counted

SHOWN = 200
SHOWN_PLACES = 5

NUL = "NUL characters were taken out, because no database stores them."
OTHER_SPLIT = "questions were here already in another split, and keep it."
OTHER_ANSWER = "rows give another reference answer than the question has; the first one stays."
FILLED = "questions without a reference answer got theirs from this file."
NO_ANSWER = "rationales do not end with an answer that could be read; theirs stays empty."
ONE = {
    NUL: "NUL character was taken out, because no database stores it.",
    OTHER_SPLIT: "question was here already in another split, and keeps it.",
    OTHER_ANSWER: "row gives another reference answer than the question has; the first one stays.",
    FILLED: "question without a reference answer got its own from this file.",
    NO_ANSWER: "rationale does not end with an answer that could be read; its own stays empty.",
}


@dataclass
class Report:
    """`rows` = `questions_added` + `questions_known` + `left_out_total`, always."""

    rows: int = 0
    questions_added: int = 0
    questions_known: int = 0
    rationales_added: int = 0
    rationales_known: int = 0
    left_out: list[dict[str, Any]] = field(default_factory=list)
    left_out_total: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[int]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def leave_out(self, line: int, name: str, reason: str) -> None:
        self.left_out.append({"line": line, "field": name, "reason": reason})
        self.left_out_total += 1

    def note(self, sentence: str, line: int, count: int = 1) -> None:
        """Count something worth knowing; the first lines where it was are told."""
        self.counted[sentence] += count
        self.places.setdefault(sentence, []).append(line)

    def add(self, other: Report) -> None:
        """Count in what a batch did."""
        for name in ("rows", "questions_added", "questions_known", "rationales_added",
                     "rationales_known", "left_out_total"):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.left_out += other.left_out[: max(0, SHOWN - len(self.left_out))]
        self.counted += other.counted
        for sentence, lines in other.places.items():
            self.places[sentence] = [*self.places.get(sentence, []), *lines][:SHOWN_PLACES]
        self.remarks += other.remarks

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "questions_added": self.questions_added,
            "questions_known": self.questions_known,
            "rationales_added": self.rationales_added,
            "rationales_known": self.rationales_known,
            "left_out": self.left_out,
            "left_out_total": self.left_out_total,
            "notes": [*self._nothing_new(), *self._counts(), *self.remarks],
        }

    def _nothing_new(self) -> list[str]:
        if self.rows and not (self.questions_added or self.rationales_added):
            if self.left_out_total == self.rows:
                return ["No row could be taken in."]
            return ["Nothing was added: every row that could be read is here already."]
        return []

    def _counts(self) -> list[str]:
        return [
            f"{counted(count, ONE[sentence], sentence)}{self._where(sentence)}"
            for sentence, count in self.counted.items()
        ]

    def _where(self, sentence: str) -> str:
        lines = self.places.get(sentence, [])
        first = "First in row" if len(lines) == SHOWN_PLACES else "In row"
        return f" {first} {', '.join(map(str, lines))}." if lines else ""
