"""The records of the seam: one line of `dataset.jsonl` is one `Question`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["teacher", "student", "human"]
AnswerKind = Literal["number", "choice", "text", "open"]


class Completion(BaseModel):
    """One rationale of a question: a thought and the answer it ends with."""

    model_config = ConfigDict(extra="ignore")

    id: str
    role: Role = "teacher"
    thought: str = ""
    answer: str = ""
    conditioned_on: str | None = None
    scores: dict[str, float | None] = Field(default_factory=dict)
    accepted: bool | None = None
    token_ids: list[int] | None = None
    logprobs: list[float] | None = None
    sampling: dict[str, Any] | None = None


class JudgeRanking(BaseModel):
    """Ranks that one judge gave: 1 is best, equal ranks are ties, an absent id is unplaced."""

    model_config = ConfigDict(extra="ignore")

    judge: str
    kind: str = "person"
    ranks: dict[str, int] = Field(default_factory=dict)
    weight: float = 1.0  # how much the judge counts; never stored, see rewards/reliability.py


class Question(BaseModel):
    """A question and the rationales that the dataset version selected for it.

    A line whose completions are all answers drawn after one thought carries that thought.
    """

    model_config = ConfigDict(extra="ignore")

    id: str
    question: str
    reference_answer: str = ""
    answer_kind: AnswerKind = "number"
    split: str | None = None
    thought: str | None = None
    conditioned_on: str | None = None  # the id of that thought
    completions: list[Completion] = Field(default_factory=list)
    rankings: list[JudgeRanking] = Field(default_factory=list)
