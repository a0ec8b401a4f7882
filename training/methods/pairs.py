"""Preference pairs: which completions of a question are compared, and who says which is better.

Not a method; what `dpo` and `orpo` share. The completions of one question are one group, and each
is in it once, however many pairs it belongs to: the forward reads it once and the loss reads all
its pairs (`Group.pairs`, `[B, N, N]` in a batch). A pair is (better, worse, weight), and a mean
over pairs is divided by the weights of the whole optimizer step.

Who prefers: the rewards of `training/rewards/from_dataset.py`, from rankings, reviews, scores or
reward functions; a pair's rewards differ by more than `margin`, so a tie gives none. A completion
without an answer, or too long, is left out and counted, never cut; two that are the same tokens
are no pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any, Literal

from pydantic import Field

from training.decoding.prompts import Renderer, completion_text
from training.decoding.record import Completion, Question
from training.decoding.sampling import grouped
from training.methods.base import Group, MethodConfig, Pair, Skipped, fits
from training.rewards.from_dataset import RewardFrom, stored_rewards
from training.rewards.from_ranking import JudgeWeights, Reading

SOURCES: tuple[RewardFrom, ...] = ("rankings", "reviews", "scores", "rewards")


class PairConfig(MethodConfig):
    """Settings of every method that learns from pairs of stored completions."""

    pairs: Literal["all", "best_worst", "adjacent"] = Field(
        "all",
        title="Which pairs",
        description="Of n completions in order of their rewards: every two, the first with the "
        "last, or neighbours.",
        json_schema_extra=grouped("Pairs"),
    )
    margin: float = Field(
        0.0,
        ge=0,
        title="Margin",
        description="The difference in reward that a pair has to exceed; in the unit of its "
        "source, which for reviews and right answers is 0 or 1.",
        json_schema_extra=grouped("Pairs"),
    )
    weigh_pairs: Literal["pair", "question"] = Field(
        "pair",
        title="Pairs count by",
        description="pair: each the same, so that a question with many counts more. question: "
        "the pairs of one question share one vote.",
        json_schema_extra=grouped("Pairs"),
    )
    roles: list[Literal["teacher", "human", "student"]] = Field(
        ["teacher", "human", "student"],
        min_length=1,
        title="Written by",
        description="Whose rationales are compared.",
        json_schema_extra=grouped("Pairs"),
    )
    reward_from: RewardFrom = Field(
        "auto",
        title="Preferences from",
        description="auto: the first that tells two completions of the question apart, of "
        "rankings, reviews (accepted over rejected), stored scores and reward functions.",
        json_schema_extra=grouped("Rewards"),
    )
    judge_weights: JudgeWeights = "equal"
    ranking_reading: Reading = Field(
        "plackett_luce",
        title="Reading of rankings",
        description="How ranks of several judges become rewards.",
        json_schema_extra=grouped("Rewards"),
    )
    rewards: dict[str, float] = Field(
        default_factory=lambda: {"answer_correct": 1.0},
        title="Rewards",
        description="Names and weights of the stored scores, or of the reward functions.",
        json_schema_extra=grouped("Rewards"),
    )


# --- The stored completions of a question ---------------------------------------------------------


def prompt_of(question: Question, text: Renderer) -> list[int]:
    """The prompt of one line: the question, and the thought that its completions answer if any."""
    asked = text.prompt(question.question)
    return asked if question.thought is None else asked + text.thought(question.thought)


def candidates(
    question: Question,
    roles: Sequence[str],
    prompt: Sequence[int],
    config: MethodConfig,
    text: Renderer,
    skipped: Skipped,
) -> list[tuple[Completion, list[int]]]:
    """The completions that belong behind the prompt, with their tokens; the others are counted."""
    found = []
    for one in question.completions:
        if one.role not in roles or one.conditioned_on != question.conditioned_on:
            continue
        if not one.answer.strip():
            skipped["without an answer"] += 1
            continue
        ids = tokens_of(one, question.thought is not None, text)
        if fits(prompt, ids, config, skipped):
            found.append((one, ids))
    return found


def tokens_of(completion: Completion, after_thought: bool, text: Renderer) -> list[int]:
    """The tokens as they were drawn, if this tokenizer reads the same words in them."""
    thought = "" if after_thought else completion.thought
    drawn = completion.token_ids
    if drawn and text.text(drawn).strip() == completion_text(thought, completion.answer).strip():
        return drawn
    return text.completion(thought, completion.answer)


def preferred(
    question: Question,
    completions: Sequence[Completion],
    reward_from: RewardFrom,
    reading: Reading,
    weights: dict[str, float],
    skipped: Skipped,
) -> tuple[list[float], list[bool]]:
    """Rewards `[N]` and present `[N]` from the first source that tells two completions apart.
    Faults of reward functions are added to `skipped`."""
    rewards, present = [float("nan")] * len(completions), [False] * len(completions)
    for source in SOURCES if reward_from == "auto" else (reward_from,):
        found = stored_rewards(question, completions, weights, source, reading, skipped)
        if len({reward for reward, here in zip(*found, strict=True) if here}) > 1:
            return found
    return rewards, present


# --- Pairs ----------------------------------------------------------------------------------------


def pair_groups(
    question: Question, config: PairConfig, text: Renderer, skipped: Skipped
) -> list[Group]:
    """The completions of a question that some pair holds, with the pairs; none without a pair."""
    prompt = prompt_of(question, text)
    found = candidates(question, config.roles, prompt, config, text, skipped)
    rewards, present = preferred(
        question,
        [completion for completion, _ in found],
        config.reward_from,
        config.ranking_reading,
        config.rewards,
        skipped,
    )
    group = Group(question.id, prompt, [ids for _, ids in found], present, rewards)
    group.pairs = pairs_of(group, config)
    if not group.pairs:
        skipped["question without a pair"] += 1
        return []
    group.keep(sorted({place for pair in group.pairs for place in (pair.better, pair.worse)}))
    return [group]


def pairs_of(group: Group, config: PairConfig) -> list[Pair]:
    """The pairs of a group whose rewards are known, with their weights."""
    order = sorted(group.compared(), key=lambda n: -group.rewards[n])
    couples = [
        (better, worse)
        for better, worse in couples_of(order, config.pairs)
        if group.rewards[better] - group.rewards[worse] > config.margin
        and group.completions[better] != group.completions[worse]
    ]
    weight = 1.0 if config.weigh_pairs == "pair" else 1 / max(1, len(couples))
    return [Pair(better, worse, weight) for better, worse in couples]


def couples_of(order: Sequence[int], which: str) -> list[tuple[int, int]]:
    """Places in order, best first, two by two."""
    if which == "best_worst":
        return [(order[0], order[-1])] if len(order) > 1 else []
    return list(pairwise(order) if which == "adjacent" else combinations(order, 2))


# --- On tensors -----------------------------------------------------------------------------------


def gaps(values: Any) -> Any:
    """`[B, N, N]` from `[B, N]`: the first place's value less the second's."""
    return values[:, :, None] - values[:, None, :]


def over_pairs(values: Any, batch: Any) -> Any:
    """The share of the weighted mean of `[B, N, N]` over the pairs of the step."""
    return (values * batch.pairs).sum() / batch.window.pairs


def over_better(values: Any, batch: Any) -> Any:
    """The share of the mean over pairs of what `[B, N]` holds for the better side."""
    return (values * batch.pairs.sum(2)).sum() / batch.window.pairs


def over_worse(values: Any, batch: Any) -> Any:
    """The share of the mean over pairs of what `[B, N]` holds for the worse side."""
    return (values * batch.pairs.sum(1)).sum() / batch.window.pairs


def token_means(values: Any, batch: Any) -> Any:
    """`[B, N]`: the mean of `[B, N, T]` over each completion's own tokens."""
    return (values * batch.mask).sum(-1) / batch.mask.sum(-1).clamp(min=1)


def softplus(values: Any) -> Any:
    """log(1 + e^x), which is - log sigmoid(-x), without overflow."""
    return values.logaddexp(values.new_zeros(()))
