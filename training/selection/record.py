"""What a selection looks at: one question with its candidates and what is known about them."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """The settings of a selection. Names that it does not have are refused."""

    model_config = ConfigDict(extra="forbid")


@dataclass(slots=True)
class Candidate:
    """One rationale with the facts about it, as far as the recipe lets them count.

    `accepts` and `rejects` are the live reviews of the chosen reviewers; `scores` holds the last
    value of each scorer, None where it could not tell.
    """

    id: int
    role: str
    author: str
    thought: str = ""
    answer: str = ""
    conditioned_on: int | None = None
    content_hash: str = ""
    scores: dict[str, float | None] = field(default_factory=dict)
    accepts: int = 0
    rejects: int = 0


@dataclass(slots=True)
class Asked:
    """One question of the record."""

    id: int
    text: str
    reference_answer: str
    answer_kind: str
    split: str
    candidates: list[Candidate] = field(default_factory=list)
