"""Keep rationales whose final answer a scorer found right.

A right answer is not a valid chain (METHODS, section 8), and OpenCodeReasoning found that filtering
by correctness can hurt; so this is a choice, with its own count of what it left out.
"""

from __future__ import annotations

from pydantic import Field

from training.selection import Verdict
from training.selection.record import Asked, Candidate, Settings

TITLE = "Correct only"
HELP = "Rationales whose answer agrees with the reference answer."


class Config(Settings):
    """Which steps have to hold besides the answer."""

    valid_steps: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Least share of valid steps",
        description="0 asks for the answer alone; 1 for a chain whose every checked step holds.",
    )


def select(question: Asked, config: Config) -> list[Verdict]:
    """Keep those with Score answer_correct = 1, and with enough valid steps where that is asked."""
    return [verdict(candidate, config) for candidate in question.candidates]


def verdict(candidate: Candidate, config: Config) -> Verdict:
    """One candidate's."""
    if "answer_correct" not in candidate.scores:
        return "Its answer has not been checked"
    correct = candidate.scores["answer_correct"]
    if correct is None:
        return "Its answer could not be checked"
    if correct != 1:
        return "Its answer is wrong"
    if not config.valid_steps:
        return None
    valid = candidate.scores.get("valid_steps")
    if valid is None:
        return "No step of it could be checked"
    return "Too few of its steps are valid" if valid < config.valid_steps else None
