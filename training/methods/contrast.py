"""Contrast: the best few of a group against its worst few. It is not GRPO.

Practitioners' recipes speak of "GRPO with the top 2 against the bottom 2 of 5". That has no ratio
to the sampling policy, no clipping and no advantage: it is a best-against-worst contrast, kin of
best-of-n fine-tuning (RAFT) and of reference-free preference learning (SimPO). Here it is, by its
own name. For one question with completions y_1 … y_N and rewards R_i:

    best  = the k_top highest rewards, all above the group's mean
    worst = the k_bottom lowest, all below it                  what ties with the last comes along
    s(y)  = 1 / |y| * sum_t log pi(y_t)
    d     = mean of s over best - mean of s over worst
    L     = mean over groups of [ - log sigmoid(sharpness * d) - nll * mean of s over best ]

Why this loss: raising s of the best and lowering s of the worst by their plain difference has no
lower bound, since s of the worst can fall for ever, and soon carries the whole gradient. The
logistic stops that: its slope in d is sharpness * sigmoid(- sharpness * d), which falls to zero as
the sides come apart. Length-mean scores keep long completions from counting more. And as a
difference can also grow while both sides fall, the best are imitated as well, with weight `nll`.

Sources: none defines it; the k of 2 are the recipe's. The logistic of length-mean differences is
SimPO's (Meng et al. 2405.14734) without its margin, imitation of the best RAFT's (Dong et al.
2304.06767). `sharpness` 2 and `nll` 1 are our choice, not a paper's.

Completions are drawn from the policy in rounds, or are the dataset's. A cut-off completion is never
among the best. A group whose rewards are all equal has no sides: it is left out and counted.
Traps: nothing corrects for a policy that has moved since it drew the round, so keep a round's steps
few; use GRPO where every sample should count by how good it is. Rewards of 0 and 1 make all right
ones best and all wrong ones worst, whatever the k.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any, Literal

from pydantic import Field

from training.decoding.prompts import Renderer
from training.decoding.record import Question
from training.decoding.sampling import grouped
from training.methods.base import Group, OnlineConfig, Prompt, Round, Skipped, fits, metric
from training.methods.pairs import candidates, preferred, prompt_of, softplus, token_means
from training.rewards.from_dataset import RewardFrom
from training.rewards.from_ranking import JudgeWeights, Reading

TITLE = "Contrast: the best of a group against its worst (not GRPO)"


class Config(OnlineConfig):
    """Settings of the contrast."""

    k_top: int = Field(
        2,
        ge=1,
        le=128,
        title="Best (k)",
        description="How many of a group are pushed up.",
        json_schema_extra=grouped("Method"),
    )
    k_bottom: int = Field(
        2,
        ge=1,
        le=128,
        title="Worst (k)",
        description="How many of a group are pushed down.",
        json_schema_extra=grouped("Method"),
    )
    sharpness: float = Field(
        2.0,
        gt=0,
        le=100,
        title="Sharpness",
        description="How soon a difference is enough: the push halves at about 1 over this, in "
        "log-probability per token.",
        json_schema_extra=grouped("Method"),
    )
    nll: float = Field(
        1.0,
        ge=0,
        le=100,
        title="Imitation weight",
        description="Weight of the mean negative log-likelihood of the best; stored completions "
        "need it, or the best are forgotten with the worst.",
        json_schema_extra=grouped("Method"),
    )
    source: Literal["policy", "dataset"] = Field(
        "policy",
        title="Completions from",
        description="policy: every round is drawn from the student. dataset: the stored ones, in "
        "one round.",
        json_schema_extra=grouped("Rounds"),
    )
    roles: list[Literal["teacher", "human", "student"]] = Field(
        ["teacher", "human", "student"],
        min_length=1,
        title="Written by",
        description="Whose stored rationales are contrasted.",
        json_schema_extra=grouped("Rounds"),
    )
    reward_from: RewardFrom = Field(
        "auto",
        title="Stored rewards from",
        description="For the dataset's completions. auto: the first that tells two of them apart, "
        "of rankings, reviews, stored scores and reward functions.",
        json_schema_extra=grouped("Rewards"),
    )
    judge_weights: JudgeWeights = "equal"
    ranking_reading: Reading = Field(
        "plackett_luce",
        title="Reading of rankings",
        description="How ranks of several judges become rewards.",
        json_schema_extra=grouped("Rewards"),
    )
    learning_rate: float = Field(
        1e-6,
        gt=0,
        le=1,
        title="Learning rate",
        description="AdamW's step size at its peak; full fine-tuning of large models takes 1e-6.",
        json_schema_extra=grouped("Optimisation"),
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "constant",
        title="Schedule",
        description="How the learning rate falls after the warm-up.",
        json_schema_extra=grouped("Optimisation"),
    )
    rounds: int = Field(
        100,
        ge=1,
        le=100_000,
        title="Rounds",
        description="Draw, score, train; so many times.",
        json_schema_extra=grouped("Rounds"),
    )
    questions_per_round: int = Field(
        64,
        ge=0,
        title="Questions per round",
        description="Chosen anew each round; 0 takes all of the dataset.",
        json_schema_extra=grouped("Rounds"),
    )
    groups_per_step: int = Field(
        64,
        ge=1,
        title="Groups per step",
        description="Questions in one optimizer step. As many as questions per round makes one "
        "step a round, exactly on-policy.",
        json_schema_extra=grouped("Batches"),
    )


def rounds(config: Config) -> list[Round]:
    """All drawn from the policy, or one of the dataset."""
    return [Round("policy")] * config.rounds if config.source == "policy" else [Round("dataset")]


def prompts(question: Question, config: Config, text: Renderer, skipped: Skipped) -> list[Prompt]:
    """The question alone."""
    prompt = Prompt(question.id, text.prompt(question.question))
    return [prompt] if fits(prompt.ids, (), config, skipped) else []


def groups(question: Question, config: Config, text: Renderer, skipped: Skipped) -> list[Group]:
    """The stored completions of a question whose rewards differ, as one group."""
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
    if not any(present):
        skipped["question without a preference"] += 1
        return []
    return [Group(question.id, prompt, [ids for _, ids in found], present, rewards)]


# --- Rewards become sides -------------------------------------------------------------------------


def weigh(groups: list[Group], config: Config) -> None:
    """Set `weights` to 1 / |best| for the best and to -1 / |worst| for the worst, and drop what is
    neither before the forward reads it."""
    for group in groups:
        best, worst = sides(group, config)
        group.weights = [0.0] * len(group.completions)
        if best and worst:
            for n in best:
                group.weights[n] = 1 / len(best)
            for n in worst:
                group.weights[n] = -1 / len(worst)
            group.keep(sorted([*best, *worst]))


def sides(group: Group, config: Config) -> tuple[list[int], list[int]]:
    """The places of the best and of the worst; what ties with the last of a side belongs to it."""
    places = group.compared()
    if len(places) < 2:
        return [], []
    rewards = {n: group.rewards[n] for n in places}
    mean = fmean(rewards.values())
    above = [n for n in places if rewards[n] > mean and not group.truncated[n]]
    below = [n for n in places if rewards[n] < mean]
    high = sorted((rewards[n] for n in above), reverse=True)[: config.k_top]
    low = sorted(rewards[n] for n in below)[: config.k_bottom]
    best = [n for n in above if rewards[n] >= high[-1]]
    return best, [n for n in below if rewards[n] <= low[-1]]


def trainable(group: Group, config: Config) -> bool:
    """Whether the group has two sides."""
    return any(group.weights)


# --- The loss -------------------------------------------------------------------------------------


def objective(logprobs: Any, batch: Any, config: Config) -> tuple[Any, dict[str, Any]]:
    """The micro-batch's share of L. `logprobs.completion` is `[B, N, T]`."""
    means, groups = token_means(logprobs.completion, batch), batch.window.weighted_groups
    best = (means * batch.weights.clamp(min=0)).sum(-1)  # [B]
    worst = -(means * batch.weights.clamp(max=0)).sum(-1)
    distance = best - worst
    contrast = softplus(-config.sharpness * distance)
    loss = (contrast - config.nll * best).sum() / groups
    facts = {
        "contrast": contrast,
        "nll": -best,
        "logprob_best": best,
        "logprob_worst": worst,
        "distance": distance,
        "accuracy": distance > 0,
    }
    shares = {name: metric(value.sum() / groups) for name, value in facts.items()}
    return loss, {"loss": metric(loss), **shares}
