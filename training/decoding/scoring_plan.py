"""The plan of a `score` job: what a student is asked about stored rationales.

Four facts about a rationale r with answer a, for question q, by one student:

    rationale_difficulty  PPL(a | q, r) / PPL(a | q),  PPL = exp(-mean log p of a's tokens)
    answer_probability    p(a | q, r), the product over a's tokens
    rationale_logprob     mean log p of all tokens of r, a and the end: minus the loss of SFT on it
    rationale_rouge_l     ROUGE-L of the student's own greedy completion with r and a

The first two depend on how the answer inside r is hidden and on which answer is asked for, so both
choices are in their version. Importable without torch.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from training.decoding.leakage import Leakage
from training.decoding.sampling import grouped, rows_field, slots_field

DIFFICULTY, PROBABILITY = "rationale_difficulty", "answer_probability"
LOGPROB, ROUGE = "rationale_logprob", "rationale_rouge_l"


class ScoringPlan(BaseModel):
    """What the student reads, and what is hidden from it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    leakage: Leakage = Field(
        "mask",
        title="The answer inside the rationale",
        description="mask: a ? stands for it in the last step that mentions it. drop_last_step: "
        "the last step is left away. none: it stays, and difficulty measures copying.",
        json_schema_extra=grouped("Student's view"),
    )
    answer: Literal["reference", "own"] = Field(
        "reference",
        title="Answer asked for",
        description="The reference answer, or the one that the rationale gives; own where a "
        "question has no reference.",
        json_schema_extra=grouped("Student's view"),
    )
    rouge_l: bool = Field(
        False,
        title="Let the student answer too",
        description="One greedy completion a question, compared with each rationale by ROUGE-L; "
        "the selection SRD needs it.",
        json_schema_extra=grouped("Student's view"),
    )
    max_new_tokens: int = Field(
        512,
        ge=1,
        le=131_072,
        title="Longest own answer",
        description="In tokens, of the student's greedy completions.",
        json_schema_extra=grouped("Lengths"),
    )
    max_prompt_tokens: int = Field(
        1024,
        ge=1,
        title="Longest prompt",
        description="Rationales of questions with a longer prompt get no score, and say so.",
        json_schema_extra=grouped("Lengths"),
    )
    max_completion_tokens: int = Field(
        2048,
        ge=1,
        title="Longest completion",
        description="Longer rationales get no score, and say so; none is cut.",
        json_schema_extra=grouped("Lengths"),
    )
    tokens_per_batch: int = Field(
        16_384,
        ge=1,
        title="Tokens per forward",
        description="About so many are read together; the scores are the same, only the memory "
        "differs.",
        json_schema_extra=grouped("Hardware"),
    )
    rows_per_batch: int = rows_field("Hardware", "of the student's own answers")
    slots: int = slots_field("Hardware")

    def versions(self) -> dict[str, str]:
        """The scorers of this plan, each with the version that its choices make."""
        view = f"1 {self.leakage} {self.answer}"
        found = {DIFFICULTY: view, PROBABILITY: view, LOGPROB: "1"}
        return {**found, ROUGE: f"1 {self.max_new_tokens}"} if self.rouge_l else found
