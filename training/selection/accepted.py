"""Keep rationales that reviewers accepted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from training.selection import Verdict
from training.selection.record import Asked, Candidate, Settings

TITLE = "Accepted only"
HELP = "Rationales that the chosen reviewers hold fit to be learnt from."


class Config(Settings):
    """How reviews of several people become one decision."""

    rule: Literal["no_reject", "majority"] = Field(
        "no_reject",
        title="When reviewers differ",
        description="no_reject: one reject leaves it out. majority: more accepts than rejects.",
    )
    accepts: int = Field(
        1, ge=1, title="Fewest accepts", description="How many reviewers have to accept it."
    )


def select(question: Asked, config: Config) -> list[Verdict]:
    """Keep those with enough accepts and no reject (or fewer rejects than accepts)."""
    return [verdict(candidate, config) for candidate in question.candidates]


def verdict(candidate: Candidate, config: Config) -> Verdict:
    """One candidate's."""
    if not candidate.accepts and not candidate.rejects:
        return "Nobody has reviewed it"
    if candidate.rejects and config.rule == "no_reject":
        return "A reviewer rejected it"
    if candidate.accepts <= candidate.rejects:
        return "No majority of reviewers accepted it"
    if candidate.accepts < config.accepts:
        return "Too few reviewers accepted it"
    return None
