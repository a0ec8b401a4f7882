"""Candidates and questions small enough to judge on paper."""

from __future__ import annotations

from itertools import count
from typing import Any

from training.selection import Verdict, selection
from training.selection.record import Asked, Candidate

STUDENT = "model-9"
_numbers = count(1)


def candidate(answer: str = "11", thought: str = "8 + 3 = 11", **facts: Any) -> Candidate:
    """One rationale; each has an id of its own, later ones a larger one."""
    facts.setdefault("id", next(_numbers))
    return Candidate(role="teacher", author="model-1", thought=thought, answer=answer, **facts)


def scored(ratio: float | None, correct: float = 1.0, **facts: Any) -> Candidate:
    """A rationale that the student has scored, with words that no other one has."""
    scores = {"answer_correct": correct, f"rationale_difficulty@{STUDENT}": ratio}
    scores |= facts.pop("scores", {})
    facts.setdefault("thought", f"thought number {next(_numbers)} speaks for itself")
    return candidate(scores=scores, **facts)


def asked(*candidates: Candidate, **facts: Any) -> Asked:
    """A question with these candidates."""
    facts = {"answer_kind": "number", "reference_answer": "11", "split": "train"} | facts
    facts.setdefault("considered", len(candidates))
    return Asked(next(_numbers), "What is 8 + 3?", candidates=list(candidates), **facts)


def verdicts(name: str, question: Asked, **settings: Any) -> list[Verdict]:
    """What `select` says of each candidate."""
    chosen = selection(name)
    return chosen.select(question, chosen.Config(**settings))


def ranked(name: str, questions: list[Asked], **settings: Any) -> list[list[bool]]:
    """Which candidates `rank` keeps, for each question."""
    chosen = selection(name)
    found = chosen.rank(questions, chosen.Config(**settings))
    return [[verdict is None for verdict in each] for each in found]
