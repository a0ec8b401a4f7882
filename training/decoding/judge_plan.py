"""The plan of a `judge` job: how a model is asked to judge rationales. Importable without torch.

Three ways of asking: `rating` shows one rationale and asks for a number; `pairwise` shows two, in
both orders, and asks for the better; `listwise` shows all, shuffled, and asks for their order.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from training.decoding.sampling import EndpointSettings, Sampling, grouped, rows_field, slots_field

Mode = Literal["rating", "pairwise", "listwise"]
Style = Literal["auto", "full", "compact"]

RUBRIC = """\
- **Right**: the answer is right, and every step follows from the question or from an earlier step.
- **Whole**: nothing that the answer rests on is left out, and nothing is guessed.
- **Clear**: somebody who learns from it can follow each step. Longer is not better."""
MOST_LETTERS = 26


class JudgePlan(EndpointSettings):
    """How the judge is asked, and how often."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    mode: Mode = Field(
        "rating",
        title="Ask for",
        description="rating: a number for each rationale. pairwise: the better of each two, asked "
        "in both orders. listwise: the order of all rationales of a question, asked once.",
        json_schema_extra=grouped("Judging"),
    )
    rubric: str = Field(
        RUBRIC,
        max_length=20_000,
        title="Rubric",
        description="What makes a rationale good, in Markdown; empty leaves it out. A changed "
        "rubric is another judge: its verdicts are kept apart by version.",
        json_schema_extra=grouped("Judging"),
    )
    lowest: int = Field(
        1,
        ge=0,
        le=100,
        title="Worst rating",
        description="The scale of ratings begins here.",
        json_schema_extra=grouped("Judging"),
    )
    highest: int = Field(
        10,
        ge=1,
        le=100,
        title="Best rating",
        description="The scale of ratings ends here.",
        json_schema_extra=grouped("Judging"),
    )
    show_reference: bool = Field(
        True,
        title="Show the reference answer",
        description="Without it the judge has to work the answer out.",
        json_schema_extra=grouped("Judging"),
    )
    own_thoughts_first: bool = Field(
        True,
        title="Own thoughts first",
        description="The judge reasons before its verdict: dearer, and usually closer to people.",
        json_schema_extra=grouped("Judging"),
    )
    samples: int = Field(
        1,
        ge=1,
        le=64,
        title="Ratings per rationale",
        description="Of a rating: ask so often and take the mean. More than one needs a "
        "temperature above 0.",
        json_schema_extra=grouped("Judging"),
    )
    most_rationales: int = Field(
        8,
        ge=2,
        le=MOST_LETTERS,
        title="Most rationales compared",
        description="Of a question, pairwise and listwise: a fixed random choice of so many. "
        "8 make 28 pairs, so 56 requests.",
        json_schema_extra=grouped("Judging"),
    )
    temperature: float = Field(
        0.0,
        ge=0,
        le=5,
        title="Temperature",
        description="0 is greedy.",
        json_schema_extra=grouped("Judging"),
    )
    max_new_tokens: int = Field(
        1024,
        ge=1,
        le=131_072,
        title="Longest reply",
        description="In tokens. A reply that is cut off has no verdict; it is dropped and counted.",
        json_schema_extra=grouped("Judging"),
    )
    style: Style = Field(
        "auto",
        title="Prompt style",
        description="full: for models that follow instructions. compact: question and rationale "
        "alone, without rubric, for models trained to judge, as the demo's; it only rates. auto: "
        "compact for ratings by a local model without a chat template, otherwise full.",
        json_schema_extra=grouped("Judging"),
    )
    rows_per_batch: int = rows_field("Local model", "replies")
    slots: int = slots_field("Local model")

    @field_validator("rubric")
    @classmethod
    def _is_one_text(cls, rubric: str) -> str:
        """A form sends other line ends; they are no other rubric."""
        return "\n".join(rubric.split("\r\n")).strip()

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError("The best rating has to be above the worst one")
        if self.samples > 1 and self.mode != "rating":
            raise ValueError("Several samples are for ratings; a comparison is asked once an order")
        if self.samples > 1 and self.temperature == 0:
            raise ValueError("At temperature 0 every sample says the same; raise it, or ask once")
        if self.style == "compact" and self.mode != "rating":
            raise ValueError("The compact style only rates")
        return self

    def settled(self, follows_instructions: bool) -> Self:
        """The plan with its style decided."""
        if self.style != "auto":
            return self
        compact = self.mode == "rating" and not follows_instructions
        return self.model_copy(update={"style": "compact" if compact else "full"})

    def sampling(self) -> Sampling:
        """The settings of one reply."""
        return Sampling(temperature=self.temperature, max_new_tokens=self.max_new_tokens)
