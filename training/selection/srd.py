"""SRD: an easy-to-hard order by how near the student already is, taken in cumulative stages.

    s(r) = 1 / (60 + rank by ROUGE-L(student's answer, r), best first)
         + 1 / (60 + rank by the student's loss on r, lowest first)

Selective Reflection Distillation (arXiv 2508.06135) lets the student answer every prompt, fuses the
two ranks (reciprocal rank fusion), calls a high s easy and trains in stages, each of which holds
the ones before it. Its scripts run three of four stages: the hardest quarter is never trained on.
Here `stage` 3 of 4 keeps the easiest three quarters; a curriculum is one version a stage, trained
one after the other, each run starting from the checkpoint of the one before.

Departures: the paper ranks prompts with one reference each; we rank rationales, and "gold" is the
rationale with its answer. Equal values share a rank. The paper ranks once, with the student as it
was before training; a score run with a later checkpoint ranks anew, and only if you choose it.
Its figures are not reproduced.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Self

from pydantic import Field, model_validator

from training.selection import Verdict
from training.selection.record import Asked, Candidate, Settings, student_field

TITLE = "SRD: easy to hard"
HELP = "The easiest stages of a curriculum, by the student's own answers and losses."

FUSION = 60
ANSWER, LOSS = "rationale_rouge_l", "rationale_logprob"


class Config(Settings):
    """Which student, and how far up the curriculum."""

    student: str = student_field(" and rouge_l")
    stages: int = Field(
        4, ge=1, le=100, title="Stages", description="Into how many equal parts the order is cut."
    )
    stage: int = Field(
        3,
        ge=1,
        le=100,
        title="Stage",
        description="Keep the easiest so many parts; a stage holds those before it.",
    )

    @property
    def over_dataset(self) -> bool:
        return True

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.stage > self.stages:
            raise ValueError("stage is beyond the last of the stages")
        return self


def select(question: Asked, config: Config) -> list[Verdict]:
    """Keep those that the student has answered and read."""
    return [
        one.unscored(LOSS, config.student) or one.unscored(ANSWER, config.student)
        for one in question.candidates
    ]


def rank(questions: Sequence[Asked], config: Config) -> list[list[Verdict]]:
    """Keep the first `stage / stages` of the fused order."""
    everything = [one for question in questions for one in question.candidates]
    ease = fused(everything, config.student)
    order = sorted(everything, key=lambda one: (-ease[one.id], one.id))
    room = ceil(len(order) * config.stage / config.stages)
    chosen = {one.id for one in order[:room]}
    reason = f"Harder than stage {config.stage} of {config.stages}"
    return [
        [None if one.id in chosen else reason for one in question.candidates]
        for question in questions
    ]


def fused(candidates: Sequence[Candidate], student: str) -> dict[int, float]:
    """s of each candidate, by its id; a high one is easy."""
    answers = ranks([one.score(ANSWER, student) for one in candidates])
    losses = ranks([one.score(LOSS, student) for one in candidates])
    return {
        one.id: 1 / (FUSION + first) + 1 / (FUSION + second)
        for one, first, second in zip(candidates, answers, losses, strict=True)
    }


def ranks(values: Sequence[float]) -> list[int]:
    """The rank of each value, 1 for the largest; equal values share the best of their ranks."""
    place: dict[float, int] = {}
    for number, value in enumerate(sorted(values, reverse=True), start=1):
        place.setdefault(value, number)
    return [place[value] for value in values]
