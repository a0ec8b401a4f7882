"""Keep every rationale; what people and scorers said travels along for the method to use."""

from __future__ import annotations

from training.selection import Verdict
from training.selection.record import Asked, Settings

TITLE = "Everything"
HELP = "Every rationale, right or wrong. For rankings and preference methods."


class Config(Settings):
    """Nothing to set."""


def select(question: Asked, config: Config) -> list[Verdict]:
    """Keep all."""
    return [None] * len(question.candidates)
