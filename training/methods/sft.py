"""Supervised fine-tuning on rationales: the student imitates thought and answer.

    L = - sum_t log p(z_t | q, z_<t) / (number of completion tokens in the step),   z = [r; a; EOS]

The loss is over completion tokens alone, the end of sequence among them. All rationales of one
question are one group, so the question goes through the model once however many there are.
One rationale a question is plain Fine-tune-CoT; many are SCoTD (Li et al., ACL 2023), which found
that many samples a question matter most. A rationale that is too long is left out and counted,
never cut: a cut one would teach the student not to stop.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from training.decoding.prompts import Renderer
from training.decoding.record import Completion, Question
from training.decoding.sampling import grouped
from training.methods.base import Group, MethodConfig, Round, Skipped, fits, metric, usable
from training.rewards.from_dataset import best_first

TITLE = "Supervised fine-tuning on rationales"


class Config(MethodConfig):
    """Settings of supervised fine-tuning."""

    epochs: int = Field(
        3,
        ge=1,
        le=1000,
        title="Epochs",
        description="How often the dataset is gone through.",
        json_schema_extra=grouped("Batches"),
    )
    rationales: Literal["all", "best"] = Field(
        "all",
        title="Rationales per question",
        description="Every rationale that is not rejected, or only the best ranked one.",
        json_schema_extra=grouped("Data"),
    )
    roles: list[Literal["teacher", "human", "student"]] = Field(
        ["teacher", "human"],
        min_length=1,
        title="Written by",
        description="Whose rationales are imitated.",
        json_schema_extra=grouped("Data"),
    )


def rounds(config: Config) -> list[Round]:
    """One round, of the dataset as it is."""
    return [Round("dataset")]


def groups(question: Question, config: Config, text: Renderer, skipped: Skipped) -> list[Group]:
    """All chosen rationales of a question as one group; none if none is usable."""
    prompt = text.prompt(question.question)
    chosen = [text.completion(c.thought, c.answer) for c in chosen_ones(question, config, skipped)]
    kept = [ids for ids in chosen if fits(prompt, ids, config, skipped)]
    if not kept:
        skipped["question without a usable rationale"] += 1
        return []
    return [Group(question.id, prompt, kept, present=[True] * len(kept))]


def chosen_ones(question: Question, config: Config, skipped: Skipped) -> list[Completion]:
    """The rationales to imitate. An answer drawn after another's thought is not one."""
    own = [c for c in question.completions if c.role in config.roles and not c.conditioned_on]
    kept = usable(own, skipped)
    return kept if config.rationales == "all" else best_first(question, kept)[:1]


def weigh(groups: list[Group], config: Config) -> None:
    """Nothing to weigh: every token counts the same."""


def trainable(group: Group, config: Config) -> bool:
    """Every group teaches."""
    return True


def objective(logprobs: Any, batch: Any, config: Config) -> tuple[Any, dict[str, Any]]:
    """The micro-batch's share of the mean token loss. `logprobs.completion` is `[B, N, T]`."""
    mask = batch.mask * batch.present[..., None]
    loss = -(logprobs.completion * mask).sum() / batch.window.tokens
    return loss, {"loss": metric(loss), "tokens": metric(mask.sum())}
