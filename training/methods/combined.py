"""The combined loss: language modelling, the answer, and consistency between rationales.

    L = L_thought + answer_weight * L_answer + consistency * D

    L_thought = - sum_t log p(r_t | q, r_<t) / (thought tokens in the step)
    L_answer  = - sum_t log p(a_t | q, r, a_<t) / (answer tokens in the step)
    D         = mean, over the answers' tokens, of the symmetric KL divergence between the
                distributions p(. | q, r_i, a_<t) and p(. | q, r_j, a_<t) over all pairs of
                rationales of one question that end in the same answer

A completion is cut in two: the thought with its mark, and the answer with the end of sequence. Each
part is the mean over its own tokens and then weighted. A mean over all tokens together would leave
the answer, a few tokens behind hundreds, with next to no weight. D asks that the answer should not
hang on which way led to it; `training.engine.divergence` says how it is computed.

Sources: the loss, with its weight of 0.1, is that of the practitioners' guide to distillation that
this project started from, which defines neither part nor consistency. D is that of MCC-KD (Chen et
al., Findings of EMNLP 2023, arXiv 2310.14747; the code has weights of 0.1 and 0.01). Departures
from MCC-KD: the mean over all pairs instead of one random pair a step; rationales whose answers
differ are imitated but not compared; its plain cross-entropy over the whole output is split.

Traps: one rationale a question has nothing to be consistent with (`shared_answer_tokens` is 0 and
D is 0). D is 0 too for a student whose answers hang on nothing, so keep the weight small, and look
at the answer's loss beside it.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from training.decoding.prompts import Renderer
from training.decoding.record import Completion, Question
from training.decoding.sampling import grouped
from training.methods.base import Group, MethodConfig, Round, Skipped, fits, metric, usable
from training.rewards.from_dataset import best_first

TITLE = "Combined loss: thought, answer and consistency"


class Config(MethodConfig):
    """Settings of the combined loss."""

    answer_weight: float = Field(
        1.0,
        ge=0,
        le=100,
        title="Weight of the answer",
        description="Against the thought's weight of 1; each is the mean over its own tokens.",
        json_schema_extra=grouped("Method"),
    )
    consistency: float = Field(
        0.1,
        ge=0,
        le=100,
        title="Weight of consistency (lambda)",
        description="How strongly the answers after several rationales of one question are held "
        "together; 0 compares none.",
        json_schema_extra=grouped("Method"),
    )
    rationales_per_question: int = Field(
        0,
        ge=0,
        le=256,
        title="Rationales per question",
        description="The best ranked so many; 0 takes all. One has nothing to be compared with.",
        json_schema_extra=grouped("Data"),
    )
    roles: list[Literal["teacher", "human", "student"]] = Field(
        ["teacher", "human"],
        min_length=1,
        title="Written by",
        description="Whose rationales are imitated.",
        json_schema_extra=grouped("Data"),
    )
    epochs: int = Field(
        3,
        ge=1,
        le=1000,
        title="Epochs",
        description="How often the dataset is gone through.",
        json_schema_extra=grouped("Batches"),
    )


def rounds(config: Config) -> list[Round]:
    """One round, of the dataset as it is."""
    return [Round("dataset")]


def groups(question: Question, config: Config, text: Renderer, skipped: Skipped) -> list[Group]:
    """All chosen rationales of a question as one group; none if none is usable."""
    prompt = text.prompt(question.question)
    made = [
        (text.completion(c.thought, c.answer), text.answer_from(c.thought, c.answer))
        for c in chosen_ones(question, config, skipped)
    ]
    kept = [(ids, start) for ids, start in made if fits(prompt, ids, config, skipped)]
    if not kept:
        skipped["question without a usable rationale"] += 1
        return []
    return [
        Group(
            question.id,
            prompt,
            completions=[ids for ids, _ in kept],
            present=[True] * len(kept),
            answer_from=[start for _, start in kept],
            compares_answers=config.consistency > 0,
        )
    ]


def chosen_ones(question: Question, config: Config, skipped: Skipped) -> list[Completion]:
    """The rationales to imitate, as many as are asked for. An answer drawn after another's thought
    is not one."""
    own = [c for c in question.completions if c.role in config.roles and not c.conditioned_on]
    kept = usable(own, skipped)
    limit = config.rationales_per_question
    return best_first(question, kept)[:limit] if limit else kept


def weigh(groups: list[Group], config: Config) -> None:
    """Nothing to weigh: within a part every token counts the same."""


def trainable(group: Group, config: Config) -> bool:
    """Every group teaches."""
    return True


def objective(logprobs: Any, batch: Any, config: Config) -> tuple[Any, dict[str, Any]]:
    """The micro-batch's share of L. `logprobs.completion` is `[B, N, T]`, `.divergence` `[S]`."""
    window = batch.window
    here = batch.mask * batch.present[..., None]
    answering = batch.answer_mask * batch.present[..., None]
    thinking = here - answering
    thought = mean_loss(logprobs.completion, thinking, window.tokens - window.answer_tokens)
    answer = mean_loss(logprobs.completion, answering, window.answer_tokens)
    loss = thought + config.answer_weight * answer
    facts = {"thought": thought, "answer": answer, "tokens": here.sum()}
    if logprobs.divergence is not None:
        apart = logprobs.divergence.sum() / window.shared_answer_tokens
        loss = loss + config.consistency * apart
        facts["divergence"] = apart
    return loss, {name: metric(value) for name, value in {"loss": loss, **facts}.items()}


def mean_loss(values: Any, mask: Any, tokens: int) -> Any:
    """The share of the mean negative log-likelihood over a part's `tokens` in the step."""
    return -(values * mask).sum() / max(1, tokens)
