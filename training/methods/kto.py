"""KTO: accepted completions gain, rejected ones lose, each by itself: no pairs are needed.

For a completion y of a question x that is desirable or undesirable:

    u(y) = sum_t [ log pi(y_t | x) - log pi_ref(y_t | x) ]
    z    = max(0, mean of u over mismatched completions),           without a gradient
    l    = lambda_D (1 - sigmoid(beta (u - z)))                     y is desirable
    l    = lambda_U (1 - sigmoid(beta (z - u)))                     y is undesirable
    L    = mean of l over the labelled completions of the step

It is the value function of prospect theory: gains and losses are felt from a reference point, and
saturate. The point z estimates how far the student has moved in general, KL(pi || pi_ref), from
completions that belong to *another* question: each question is followed by some of the question
before it in the dataset. They are read apart, without a gradient, before each step, and z is the
mean over all of the step, so that its split into forwards changes nothing. pi_ref is the model
that the run began with; its log-probabilities are computed once and the model is then let go.

Source: Ethayarajh et al. 2402.01306; beta 0.1, lambda_D = lambda_U = 1. They advise to weigh so
that lambda_D n_D / (lambda_U n_U) lies between 1 and 4/3: `balance` makes it 1. Departures: one
mismatched completion for each question rather than for each completion (`mismatched`), and z is
the mean of the whole optimizer step, where TRL takes its micro-batch's. Learning rate as TRL's.

Traps: labels all of one kind teach the student to move away from, or towards, everything; look at
`desirable` and `undesirable`. A low beta saturates late: below 0.1 the student may drift far.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from training.decoding.prompts import Renderer
from training.decoding.record import Question
from training.decoding.sampling import grouped
from training.methods.base import Group, MethodConfig, Round, Skipped, metric
from training.methods.pairs import candidates, prompt_of, token_means
from training.rewards.from_dataset import RewardFrom, stored_rewards
from training.rewards.from_ranking import JudgeWeights, Reading

TITLE = "KTO: accepted against rejected, without pairs"


class Config(MethodConfig):
    """Settings of KTO."""

    beta: float = Field(
        0.1,
        gt=0,
        le=1000,
        title="Leash (beta)",
        description="How soon gains and losses saturate: high stays near the model it began as.",
        json_schema_extra=grouped("Method"),
    )
    desirable_weight: float = Field(
        1.0,
        gt=0,
        le=1000,
        title="Weight of the desirable",
        description="lambda_D, the weight of each accepted completion.",
        json_schema_extra=grouped("Method"),
    )
    undesirable_weight: float = Field(
        1.0,
        gt=0,
        le=1000,
        title="Weight of the undesirable",
        description="lambda_U, the weight of each rejected completion.",
        json_schema_extra=grouped("Method"),
    )
    balance: bool = Field(
        False,
        title="Balance",
        description="Raise the weight of the rarer kind until both count the same, on top of the "
        "two weights.",
        json_schema_extra=grouped("Method"),
    )
    mismatched: int = Field(
        1,
        ge=0,
        le=64,
        title="Mismatched completions",
        description="For each question, how many completions of another one estimate the "
        "reference point; 0 leaves it at zero.",
        json_schema_extra=grouped("Method"),
    )
    threshold: float = Field(
        0.5,
        title="Threshold",
        description="A completion is desirable if its reward is above this. Reviews give 1 and 0.",
        json_schema_extra=grouped("Labels"),
    )
    roles: list[Literal["teacher", "human", "student"]] = Field(
        ["teacher", "human", "student"],
        min_length=1,
        title="Written by",
        description="Whose rationales are labelled.",
        json_schema_extra=grouped("Labels"),
    )
    reward_from: RewardFrom = Field(
        "reviews",
        title="Labels from",
        description="reviews: accepted or rejected. Otherwise a reward and the threshold decide; "
        "auto takes rankings, else stored scores, else the reward functions.",
        json_schema_extra=grouped("Labels"),
    )
    judge_weights: JudgeWeights = "equal"
    ranking_reading: Reading = Field(
        "win_rate",
        title="Reading of rankings",
        description="How ranks of several judges become rewards; a win rate lies between -1 and 1.",
        json_schema_extra=grouped("Labels"),
    )
    rewards: dict[str, float] = Field(
        default_factory=lambda: {"answer_correct": 1.0},
        title="Rewards",
        description="Names and weights of the stored scores, or of the reward functions.",
        json_schema_extra=grouped("Labels"),
    )
    learning_rate: float = Field(
        1e-6,
        gt=0,
        le=1,
        title="Learning rate",
        description="AdamW's step size at its peak; full fine-tuning of large models takes 1e-6.",
        json_schema_extra=grouped("Optimisation"),
    )
    groups_per_step: int = Field(
        32,
        ge=1,
        title="Groups per step",
        description="Questions in one optimizer step; the reference point is their mean, so few "
        "make it noisy.",
        json_schema_extra=grouped("Batches"),
    )


def rounds(config: Config) -> list[Round]:
    """One round, of the dataset as it is."""
    return [Round("dataset")]


def groups(question: Question, config: Config, text: Renderer, skipped: Skipped) -> list[Group]:
    """The labelled completions of a question as one group; none if none has a label."""
    prompt = prompt_of(question, text)
    found = candidates(question, config.roles, prompt, config, text, skipped)
    rewards, present = stored_rewards(
        question,
        [completion for completion, _ in found],
        config.rewards,
        config.reward_from,
        config.ranking_reading,
        skipped,
    )
    if not all(present):
        skipped["without a label"] += present.count(False)
    if not any(present):
        skipped["question without a labelled completion"] += 1
        return []
    group = Group(question.id, prompt, [ids for _, ids in found], present, rewards)
    group.keep(group.compared())
    return [group]


# --- Labels become weights, and a reference point gets its completions ----------------------------


def weigh(groups: list[Group], config: Config) -> None:
    """Set `weights` to lambda_D where desirable and to -lambda_U where not; and lay beside each
    group what its reference point is read from."""
    desirable, undesirable = weights_of(groups, config)
    for group in groups:
        labels = [reward > config.threshold for reward in group.rewards]
        group.weights = [desirable if label else -undesirable for label in labels]
    for before, group in zip([*groups[-1:], *groups[:-1]], groups, strict=True):
        group.aside = mismatched(group, before, config)


def weights_of(groups: list[Group], config: Config) -> tuple[float, float]:
    """lambda_D and lambda_U, the rarer kind's raised if they are to balance."""
    rewards = [reward for group in groups for reward in group.rewards]
    good = sum(reward > config.threshold for reward in rewards)
    bad = len(rewards) - good
    desirable, undesirable = config.desirable_weight, config.undesirable_weight
    if not config.balance or not good or not bad:
        return desirable, undesirable
    return desirable * max(1.0, bad / good), undesirable * max(1.0, good / bad)


def mismatched(group: Group, before: Group, config: Config) -> Group | None:
    """The group's prompt with completions of another question; none if there is no other."""
    if config.mismatched == 0 or before.prompt == group.prompt:
        return None
    rows = before.completions[: config.mismatched]
    return Group(group.question, group.prompt, rows, present=[True] * len(rows))


def trainable(group: Group, config: Config) -> bool:
    """Every labelled group teaches."""
    return any(group.weights)


# --- The loss -------------------------------------------------------------------------------------


def aside(logprobs: Any, batch: Any, config: Config) -> Any:
    """The share of the step's mean of u over mismatched completions."""
    return (log_ratios(logprobs, batch) * batch.present).sum() / batch.window.sequences


def objective(logprobs: Any, batch: Any, config: Config) -> tuple[Any, dict[str, Any]]:
    """The micro-batch's share of L. `logprobs.completion` is `[B, N, T]`."""
    ratio, window = log_ratios(logprobs, batch), batch.window  # [B, N]
    point = max(0.0, window.aside)
    felt = config.beta * (ratio - point) * batch.weights.sign()  # [B, N], above 0 for a gain
    loss = (batch.weights.abs() * (-felt).sigmoid()).sum() / window.sequences
    good, bad = batch.weights > 0, batch.weights < 0
    here, means = good | bad, token_means(logprobs.completion, batch)
    desirable, undesirable = max(1, window.favoured), max(1, window.sequences - window.favoured)
    facts = {
        "loss": loss,
        "kl": point * here.sum() / window.sequences,
        "desirable": good.sum(),
        "undesirable": bad.sum(),
        "logprob_desirable": (means * good).sum() / desirable,
        "logprob_undesirable": (means * bad).sum() / undesirable,
        "reward_desirable": config.beta * (ratio * good).sum() / desirable,
        "reward_undesirable": config.beta * (ratio * bad).sum() / undesirable,
        "accuracy": ((felt > 0) & here).sum() / window.sequences,
    }
    return loss, {name: metric(value) for name, value in facts.items()}


def log_ratios(logprobs: Any, batch: Any) -> Any:
    """`[B, N]`: u, how far each completion's log-likelihood is from the frozen start's."""
    return ((logprobs.completion - batch.ref_logprobs) * batch.mask).sum(-1)
