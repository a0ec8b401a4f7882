"""Distilling step-by-step: the student learns to answer, and beside it to explain.

Every question is asked twice, with a prefix that names the task, "predict: " and "explain: ":

    L = alpha * L_label + (1 - alpha) * L_rationale

    L_label     = - sum_t log p(a_t | predict q, a_<t) / (label tokens in the step)
    L_rationale = - sum_t log p(r_t | explain q, r_<t) / (rationale tokens in the step)

Answer and rationale are never one target: that is plain supervised fine-tuning (`sft`), another
method. Here the rationale shapes the model while it is trained, and at inference the label alone
is asked for, so that a chain of thought costs nothing. Ask with `ask_for` "label" in an
evaluation, or the question stands behind no prefix and the model does not know its task.

Source: Hsieh et al., Findings of ACL 2023, arXiv 2305.02301, and the released code. Defaults are
the code's: alpha 0.5, AdamW at 5e-5 falling linearly without a warm-up, 64 questions a step, labels
from the reference; the paper writes L_label + lambda * L_rationale, twice the same at lambda 1.
Departures: the code trains an encoder-decoder (T5) for 10,000 steps, ours a decoder for `epochs`;
its two tasks of a question stand in one step, ours are two groups that are shuffled apart, so a
step of few groups may hold one task alone; what is too long is left out, not cut.

Traps: short labels are quickly learned, and alpha near 1 then has little left to teach. A student
that is asked without the prefix answers in neither way.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from training.decoding.prompts import Renderer, Task
from training.decoding.record import Question
from training.decoding.sampling import grouped
from training.methods.base import Group, MethodConfig, Round, Skipped, fits, metric, usable
from training.rewards.from_dataset import best_first

TITLE = "Distilling step-by-step: label and rationale as two tasks"

TASK: Task = "label"  # what a probe asks for


class Config(MethodConfig):
    """Settings of Distilling step-by-step."""

    alpha: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Weight of the label (alpha)",
        description="Weight of the label task; the rationale task has the rest. 1 trains on labels "
        "alone, 0 on rationales alone.",
        json_schema_extra=grouped("Method"),
    )
    labels: Literal["reference", "rationales"] = Field(
        "reference",
        title="Labels from",
        description="reference: the question's reference answer. rationales: the answers that the "
        "rationales end with, where there are no references.",
        json_schema_extra=grouped("Data"),
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
    learning_rate: float = Field(
        5e-5,
        gt=0,
        le=1,
        title="Learning rate",
        description="AdamW's step size at its peak.",
        json_schema_extra=grouped("Optimisation"),
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "linear",
        title="Schedule",
        description="How the learning rate falls after the warm-up.",
        json_schema_extra=grouped("Optimisation"),
    )
    warmup: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Warm-up",
        description="Share of the steps over which the learning rate rises from zero.",
        json_schema_extra=grouped("Optimisation"),
    )
    epochs: int = Field(
        3,
        ge=1,
        le=1000,
        title="Epochs",
        description="How often the dataset is gone through.",
        json_schema_extra=grouped("Batches"),
    )
    groups_per_step: int = Field(
        128,
        ge=1,
        title="Groups per step",
        description="Two groups a question: the label task and the rationale task.",
        json_schema_extra=grouped("Batches"),
    )


def rounds(config: Config) -> list[Round]:
    """One round, of the dataset as it is."""
    return [Round("dataset")]


def groups(question: Question, config: Config, text: Renderer, skipped: Skipped) -> list[Group]:
    """A group for each task that the question has a target for; at most two."""
    own = [c for c in question.completions if c.role in config.roles and not c.conditioned_on]
    kept = usable(own, skipped)
    chosen = kept if config.rationales == "all" else best_first(question, kept)[:1]
    labels = [c.answer for c in chosen]
    if config.labels == "reference":
        labels = [question.reference_answer]
    thoughts = [c.thought for c in chosen if c.thought.strip()]
    targets: dict[Task, list[list[int]]] = {
        "label": [text.answer(label) for label in dict.fromkeys(labels) if label.strip()],
        "rationale": [text.rationale(thought) for thought in thoughts],
    }
    made = [_group(question, *each, config, text, skipped) for each in targets.items()]
    return [group for group in made if group]


def _group(
    question: Question,
    task: Task,
    targets: list[list[int]],
    config: Config,
    text: Renderer,
    skipped: Skipped,
) -> Group | None:
    prompt = text.for_task(task).prompt(question.question)
    kept = [ids for ids in targets if fits(prompt, ids, config, skipped)]
    if not kept:
        skipped[f"question without a usable {task}"] += 1
        return None
    starts = [0 if task == "label" else len(ids) for ids in kept]
    present = [True] * len(kept)
    return Group(question.id, prompt, kept, present=present, answer_from=starts)


def weigh(groups: list[Group], config: Config) -> None:
    """Nothing to weigh: within a task every token counts the same."""


def trainable(group: Group, config: Config) -> bool:
    """Whether the group's task has a weight."""
    return (config.alpha if group.answer_from[0] == 0 else 1 - config.alpha) > 0


def objective(logprobs: Any, batch: Any, config: Config) -> tuple[Any, dict[str, Any]]:
    """The micro-batch's share of the weighted sum. `logprobs.completion` is `[B, N, T]`."""
    mask = batch.mask * batch.present[..., None]
    labelled = batch.answer_mask * mask  # [B, N, T], 1 on tokens of labels
    labels, rest = batch.window.answer_tokens, batch.window.tokens - batch.window.answer_tokens
    label = -(logprobs.completion * labelled).sum() / max(1, labels)
    rationale = -(logprobs.completion * (mask - labelled)).sum() / max(1, rest)
    loss = config.alpha * label + (1 - config.alpha) * rationale
    facts = {"loss": loss, "label": label, "rationale": rationale, "tokens": mask.sum()}
    return loss, {name: metric(value) for name, value in facts.items()}
