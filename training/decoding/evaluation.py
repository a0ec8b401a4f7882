"""The plan of an `evaluate` job. Importable without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from training.decoding.sampling import grouped, rows_field, slots_field


class EvaluationPlan(BaseModel):
    """One greedy answer a question, and sampled ones for diversity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    ask_for: Literal["rationale", "label"] = Field(
        "rationale",
        title="Ask for",
        description="rationale: thought and answer. label: the answer alone, of a student of "
        "Distilling step-by-step.",
        json_schema_extra=grouped("Prompt"),
    )
    samples_per_question: int = Field(
        4,
        ge=0,
        le=256,
        title="Samples per question",
        description="Sampled beside the greedy answer; 0 samples none.",
        json_schema_extra=grouped("Sampling"),
    )
    temperature: float = Field(
        1.0,
        gt=0,
        le=5,
        title="Temperature",
        description="Of the sampled answers.",
        json_schema_extra=grouped("Sampling"),
    )
    max_new_tokens: int = Field(
        512,
        ge=1,
        le=131_072,
        title="Longest completion",
        description="In tokens.",
        json_schema_extra=grouped("Sampling"),
    )
    rows_per_batch: int = rows_field("Hardware")
    slots: int = slots_field("Hardware")
