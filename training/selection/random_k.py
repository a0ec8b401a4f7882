"""Random rationales: the control that every other selection has to beat at the same number.

Each rationale's place in the draw is the hash of the seed and its id, so that rationales that come
later do not reshuffle those that are there. No source; no departure.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from pydantic import Field

from training.selection import Verdict
from training.selection.keeping import Keeping, keep_first
from training.selection.record import Asked, Candidate

TITLE = "Random k"
HELP = "So many of each question, or a share of all, drawn by a seed. The control for the others."


class Config(Keeping):
    """How many, and by which seed."""

    seed: int = Field(
        0, ge=0, le=2**31 - 1, title="Seed of the draw", description="Another one draws others."
    )


def select(question: Asked, config: Config) -> list[Verdict]:
    """All may be drawn."""
    return [None] * len(question.candidates)


def rank(questions: Sequence[Asked], config: Config) -> list[list[Verdict]]:
    """Keep the first of a seeded order."""

    def place(candidate: Candidate) -> bytes:
        return sha256(f"{config.seed}:{candidate.id}".encode()).digest()

    return keep_first(questions, config, lambda pool: sorted(pool, key=place))
