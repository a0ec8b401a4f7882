"""How much there is in the record of a benchmark; everything follows from the questions."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Size:
    """`teachers` rationales a question; `rounds` times `samples` of each of `sampled` questions;
    `judges` people rank each of `judged` questions; `scores` facts about rationales."""

    questions: int
    sampled: int
    judged: int
    scores: int
    teachers: int = 4
    rounds: int = 5
    samples: int = 8
    judges: int = 3
    people: int = 50

    @classmethod
    def of(cls, questions: int) -> Size:
        """In the proportions of size M, which has 100,000 questions."""
        return cls(questions, questions // 10, questions, 10 * questions)

    @property
    def by_teachers(self) -> int:
        return self.questions * self.teachers

    @property
    def by_students(self) -> int:
        return self.rounds * self.sampled * self.samples

    @property
    def judgements(self) -> int:
        return self.judged * self.judges

    def told(self) -> dict[str, int]:
        return {
            **asdict(self),
            "by_teachers": self.by_teachers,
            "by_students": self.by_students,
            "judgements": self.judgements,
        }


M = 100_000
