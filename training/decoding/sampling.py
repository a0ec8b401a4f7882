"""Sampling settings, and the plan of a `generate` job. Importable without torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


def grouped(group: str) -> dict[str, Any]:
    """The `json_schema_extra` that puts a field under one heading of its form."""
    return {"group": group}


def rows_field(group: str, what: str = "completions") -> Any:
    """The setting of how much is drawn at a time."""
    return Field(
        256,
        ge=1,
        title="Rows at a time",
        description=f"How many {what} are drawn, and then stored, together.",
        json_schema_extra=grouped(group),
    )


def slots_field(group: str) -> Any:
    """The setting of how many rows are decoded at a time."""
    return Field(
        0,
        ge=0,
        title="Slots",
        description="How many of them are decoded at a time; the place of one that ends is filled "
        "again. 0 decodes all of them, which is the fastest on a CPU.",
        json_schema_extra=grouped(group),
    )


class Sampling(BaseModel):
    """How one completion is drawn. Temperature 0 is greedy."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    temperature: float = Field(1.0, ge=0, le=5)
    top_p: float = Field(1.0, gt=0, le=1)
    max_new_tokens: int = Field(512, ge=1)


class EndpointSettings(BaseModel):
    """How fast, and how patiently, an endpoint is asked."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    concurrency: int = Field(
        4,
        ge=1,
        le=256,
        title="Requests at a time",
        description="For an endpoint: how many requests may be open together.",
        json_schema_extra=grouped("Endpoint"),
    )
    requests_per_minute: int = Field(
        0,
        ge=0,
        title="Requests per minute",
        description="For an endpoint: the most to start in a minute; 0 sets no limit.",
        json_schema_extra=grouped("Endpoint"),
    )
    timeout_seconds: float = Field(
        120.0,
        gt=0,
        title="Request timeout",
        description="Seconds after which a request counts as lost and is tried again.",
        json_schema_extra=grouped("Endpoint"),
    )
    retries: int = Field(
        5,
        ge=0,
        le=20,
        title="Retries",
        description="How often a failed request is tried again before its row is reported.",
        json_schema_extra=grouped("Endpoint"),
    )


class SamplingPlan(EndpointSettings):
    """What a `generate` job draws: so many samples a question at each temperature.

    Several temperatures follow the practitioners' recipe for building a rationale set; `what`
    chooses whole rationales, or answers given a teacher's thought as CoTD-PO needs them.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    what: Literal["rationale", "answer_given_thought"] = Field(
        "rationale",
        title="What to draw",
        description="Whole rationales, or only answers after each teacher's thought.",
        json_schema_extra=grouped("Sampling"),
    )
    temperatures: list[Annotated[float, Field(ge=0, le=5)]] = Field(
        default_factory=lambda: [0.3, 0.5, 0.7],
        min_length=1,
        title="Temperatures",
        description="Each question is asked at every one of these; 0 is greedy.",
        json_schema_extra=grouped("Sampling"),
    )
    samples_per_temperature: int = Field(
        2,
        ge=1,
        le=256,
        title="Samples per temperature",
        description="How many completions to draw at each temperature.",
        json_schema_extra=grouped("Sampling"),
    )
    top_p: float = Field(
        1.0,
        gt=0,
        le=1,
        title="Top-p",
        description="Nucleus mass to sample from; 1 leaves the distribution whole.",
        json_schema_extra=grouped("Sampling"),
    )
    max_new_tokens: int = Field(
        512,
        ge=1,
        le=131_072,
        title="Longest completion",
        description="In tokens; a longer one is stopped and marked as truncated.",
        json_schema_extra=grouped("Sampling"),
    )
    system_prompt: str = Field(
        "",
        title="System prompt",
        description="Said before the question; empty leaves it out.",
        json_schema_extra=grouped("Prompt"),
    )
    rows_per_batch: int = rows_field("Local model")
    slots: int = slots_field("Local model")

    def settings(self, temperature: float) -> Sampling:
        """The settings of one draw."""
        return Sampling(
            temperature=temperature, top_p=self.top_p, max_new_tokens=self.max_new_tokens
        )
