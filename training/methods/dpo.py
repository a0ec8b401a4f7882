"""DPO: preferred completions become likelier than others, measured from the frozen start.

For a pair of a preferred completion y+ and another one y- of the same question:

    u(y) = sum_t [ log pi(y_t) - log pi_ref(y_t) ]        divided by |y| if `length_normalised`
    h    = u(y+) - u(y-)
    l    = - (1 - eps) log sigmoid(beta h) - eps log sigmoid(-beta h)      loss "sigmoid"
    l    = (h - 1 / (2 beta))^2                                            loss "ipo"
    L    = mean over pairs of [ l - nll / |y+| * log pi(y+) ]

beta u(y) is the reward that pi is the optimal policy for, under a KL leash to pi_ref; so the loss
is a Bradley-Terry likelihood without a reward model. pi_ref is the model that the run began with:
its log-probabilities are computed once, before the first step, and the model is then let go.
eps (`label_smoothing`) is the share of preferences that are taken to be the wrong way round. The
NLL term keeps the preferred completion's own likelihood from falling.

Sources: Rafailov et al. 2305.18290 (beta 0.1, batches of 64, learning rate 1e-6); Mitchell's note
on conservative DPO (eps); Azar et al. 2310.12036 (ipo; length-normalised as TRL does it, with the
authors' word for it); Pang et al. 2404.19733 (Iterative RPO: nll 1). Departures: AdamW, where the
paper has RMSprop; all pairs of a question are read from one forward of its completions.

Traps: the loss sees a difference, so both likelihoods may fall while it does (`logprob_chosen`,
`logprob_rejected`); `nll` is the remedy. Sums favour pairs of unlike length: long preferred ones
teach length. With `length_normalised`, and in ipo, beta is per token: take 10 to 100 times as much
for the former. Pairs of completions that others wrote are far from what the student would write.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from training.decoding.prompts import Renderer
from training.decoding.record import Question
from training.decoding.sampling import grouped
from training.methods.base import Group, Round, Skipped, metric
from training.methods.pairs import (
    PairConfig,
    gaps,
    over_better,
    over_pairs,
    over_worse,
    pair_groups,
    softplus,
    token_means,
)

TITLE = "DPO: direct preference optimisation"


class Config(PairConfig):
    """Settings of DPO."""

    beta: float = Field(
        0.1,
        gt=0,
        le=1000,
        title="Leash (beta)",
        description="How closely the student is held to the model it began as: high stays near. "
        "0.1 for sums; per token, with length normalisation, 1 to 10.",
        json_schema_extra=grouped("Method"),
    )
    loss_type: Literal["sigmoid", "ipo"] = Field(
        "sigmoid",
        title="Loss",
        description="sigmoid: DPO's own. ipo: a squared distance to a finite margin, for "
        "preferences that are never contradicted.",
        json_schema_extra=grouped("Method"),
    )
    length_normalised: bool = Field(
        False,
        title="Length-normalised",
        description="Compare mean rather than summed log-ratios, so that length itself is not "
        "learned; needs a larger beta.",
        json_schema_extra=grouped("Method"),
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        title="Label smoothing",
        description="The share of preferences taken to be the wrong way round; for noisy judges.",
        json_schema_extra=grouped("Method"),
    )
    nll: float = Field(
        0.0,
        ge=0,
        le=100,
        title="Imitation weight",
        description="Weight of the preferred completion's mean negative log-likelihood; 1 in "
        "Iterative RPO.",
        json_schema_extra=grouped("Method"),
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
        64,
        ge=1,
        title="Groups per step",
        description="Questions in one optimizer step, each with all its pairs.",
        json_schema_extra=grouped("Batches"),
    )


def rounds(config: Config) -> list[Round]:
    """One round, of the dataset as it is."""
    return [Round("dataset")]


def groups(question: Question, config: Config, text: Renderer, skipped: Skipped) -> list[Group]:
    """The completions of a question that are in some pair, as one group."""
    return pair_groups(question, config, text, skipped)


def weigh(groups: list[Group], config: Config) -> None:
    """Nothing to weigh: the pairs carry their weights."""


def trainable(group: Group, config: Config) -> bool:
    """Whether there is a pair."""
    return bool(group.pairs)


def objective(logprobs: Any, batch: Any, config: Config) -> tuple[Any, dict[str, Any]]:
    """The micro-batch's share of L. `logprobs.completion` is `[B, N, T]`."""
    ratio = log_ratios(logprobs, batch, config)  # [B, N]
    gap = gaps(ratio)  # [B, N, N]
    preference = over_pairs(pair_losses(gap, config), batch)
    means = token_means(logprobs.completion, batch)  # [B, N]
    imitation = -over_better(means, batch)
    loss = preference + config.nll * imitation
    facts = {
        "loss": loss,
        "preference": preference,
        "nll": imitation,
        "logprob_chosen": over_better(means, batch),
        "logprob_rejected": over_worse(means, batch),
        "reward_chosen": config.beta * over_better(ratio, batch),
        "reward_rejected": config.beta * over_worse(ratio, batch),
        "margin": config.beta * over_pairs(gap, batch),
        "accuracy": over_pairs(gap > 0, batch),
        "pairs": (batch.pairs > 0).sum(),
    }
    return loss, {name: metric(value) for name, value in facts.items()}


def log_ratios(logprobs: Any, batch: Any, config: Config) -> Any:
    """`[B, N]`: u, how far each completion's log-likelihood is from the frozen start's."""
    change = logprobs.completion - batch.ref_logprobs  # [B, N, T]
    if config.length_normalised:
        return token_means(change, batch)
    return (change * batch.mask).sum(-1)


def pair_losses(gap: Any, config: Config) -> Any:
    """`[B, N, N]`: l of preferring the first place to the second."""
    if config.loss_type == "ipo":
        return (gap - 1 / (2 * config.beta)).square()
    right, wrong = softplus(-config.beta * gap), softplus(config.beta * gap)
    return (1 - config.label_smoothing) * right + config.label_smoothing * wrong
