"""What each kind of run may be told: the engine's own plan, and which questions it is about.

The names are the same in the form, on the command line, in `Run.config` and in `run.json`.
Importable without torch.
"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator

from training.decoding.evaluation import EvaluationPlan
from training.decoding.judge_plan import JudgePlan
from training.decoding.sampling import SamplingPlan, grouped
from training.decoding.scoring_plan import ScoringPlan
from training.methods import method as find_method

AnySplit = Literal["train", "validation", "test", "all"]


class Scope(BaseModel):
    """Which of the project's questions a run is about."""

    model_config = ConfigDict(extra="forbid")

    split: AnySplit = Field(
        "train",
        title="Split",
        description="Only questions of this split.",
        json_schema_extra=grouped("Questions"),
    )
    source: str = Field(
        "",
        title="Source",
        description="Only questions imported under this name; empty takes every source.",
        json_schema_extra=grouped("Questions"),
    )
    limit: int = Field(
        0,
        ge=0,
        title="Most questions",
        description="A fixed random choice of so many questions, always the same; 0 takes all.",
        json_schema_extra=grouped("Questions"),
    )


class GenerateConfig(Scope, SamplingPlan):
    """Settings of a generate run: who is asked what, how often, how warm."""

    role: Literal["teacher", "student"] = Field(
        "teacher",
        title="Written as",
        description="Whether the texts count as a teacher's rationales or as student samples.",
        json_schema_extra=grouped("Sampling"),
    )
    thoughts: Literal["teacher", "human"] = Field(
        "teacher",
        title="Thoughts by",
        description="Whose thoughts an answer is drawn after.",
        json_schema_extra=grouped("Answers given a thought"),
    )
    thoughts_per_question: int = Field(
        0,
        ge=0,
        title="Thoughts per question",
        description="The first so many thoughts of a question; 0 takes all.",
        json_schema_extra=grouped("Answers given a thought"),
    )


class ScoreConfig(Scope, ScoringPlan):
    """Settings of a score run. What is already scored by the present scorers is left alone.

    Without a model it checks answers, steps and lengths, and only the scope counts; with one, the
    student reads the rationales (`training/decoding/scoring_plan.py`).
    """

    split: AnySplit = Field(
        "all",
        title="Split",
        description="Only rationales of questions of this split.",
        json_schema_extra=grouped("Questions"),
    )
    roles: list[Literal["teacher", "human", "student"]] = Field(
        ["teacher", "human"],
        min_length=1,
        title="Written by",
        description="Whose rationales a student reads.",
        json_schema_extra=grouped("Student's view"),
    )
    again: bool = Field(
        False,
        title="Score again",
        description="Also what this student has scored before with the same choices.",
        json_schema_extra=grouped("Student's view"),
    )


class JudgeConfig(Scope, JudgePlan):
    """Settings of a judge run: which rationales a model judges, and how it is asked.

    What the judge has judged by the same prompt before is left alone.
    """

    split: AnySplit = Field(
        "all",
        title="Split",
        description="Only rationales of questions of this split.",
        json_schema_extra=grouped("Questions"),
    )
    roles: list[Literal["teacher", "human", "student"]] = Field(
        ["teacher", "human", "student"],
        min_length=1,
        title="Written by",
        description="Whose rationales are judged.",
        json_schema_extra=grouped("Rationales"),
    )
    batches: list[str] = Field(
        [],
        title="Batches",
        description="Only what these runs or imports wrote, by the uuid of their batch; empty "
        "takes all whole rationales. Answers drawn after a thought are judged only if named here.",
        json_schema_extra=grouped("Rationales"),
    )
    again: bool = Field(
        False,
        title="Judge again",
        description="Also what this judge has judged before by the same prompt.",
        json_schema_extra=grouped("Rationales"),
    )

    @field_validator("batches")
    @classmethod
    def _are_uuids(cls, batches: list[str]) -> list[str]:
        return [str(UUID(batch)) for batch in batches]


class EvaluateConfig(Scope, EvaluationPlan):
    """Settings of an evaluate run."""

    split: AnySplit = Field(
        "test",
        title="Split",
        description="Only questions of this split; the held-out one, unless you say otherwise.",
        json_schema_extra=grouped("Questions"),
    )


ENGINE_PLAN: dict[str, type[BaseModel]] = {
    "generate": SamplingPlan,
    "score": ScoringPlan,
    "judge": JudgePlan,
    "evaluate": EvaluationPlan,
}
CONFIGS: dict[str, type[BaseModel]] = {
    "generate": GenerateConfig,
    "score": ScoreConfig,
    "judge": JudgeConfig,
    "evaluate": EvaluateConfig,
}


def config_class(kind: str, method: str = "") -> type[BaseModel]:
    """The settings of a kind of run. Raises `KeyError` with the names there are."""
    if kind == "train":
        return find_method(method).Config
    return CONFIGS[kind]


def engine_config(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """The part of a resolved config that the engine is told."""
    if kind == "train":
        return config
    return {name: config[name] for name in ENGINE_PLAN[kind].model_fields}
