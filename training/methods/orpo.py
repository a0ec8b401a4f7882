"""ORPO: imitate the preferred completion, and make its odds exceed the other's. No reference.

For a pair of a preferred completion y+ and another one y- of the same question:

    s(y)    = 1 / |y| * sum_t log pi(y_t)         p = e^s        odds(y) = p / (1 - p)
    l_odds  = - log sigmoid( log odds(y+) - log odds(y-) )
    L       = mean over pairs of [ - s(y+) + odds_weight * l_odds ]

The first term is supervised fine-tuning on the preferred completions, so ORPO starts from a base
model and needs neither a fine-tuned start nor a frozen copy. The second is bounded: its slope
falls to zero as the odds come apart, and s(y-) is lowered no further than the pair asks for.

Sources: Hong et al. 2403.07691 (lambda 0.1, here `odds_weight`); with several teacher positives
against several student negatives it is the loss of ORPO-Distill, 2509.25100 (lambda 0.1). Its
mixed-policy negatives are the dataset's part: draw some from the first student, some from the
present one. Departures: the likelihood term is over the completion alone, the mean of each one's
own mean, as the formula has it; TRL's is over prompt and completion, token by token over the batch.

Traps: a likelihood of a whole completion is tiny, and so would be its odds; the length-mean p is
what the authors compute, and it makes odds and likelihood nearly the same thing where p is small.
Where y- is nearly y+, imitation raises both: look at `margin`, not at the loss alone.
"""

from __future__ import annotations

from typing import Any

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

TITLE = "ORPO: imitation with an odds ratio, without a reference"

CERTAIN = -1e-6  # the highest mean log-probability whose odds are still finite in fp32


class Config(PairConfig):
    """Settings of ORPO."""

    odds_weight: float = Field(
        0.1,
        ge=0,
        le=100,
        title="Odds weight (lambda)",
        description="Weight of the odds-ratio term beside imitation; 0 is supervised fine-tuning "
        "on the preferred completions.",
        json_schema_extra=grouped("Method"),
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
    """The completions of a question that are in some pair, as one group."""
    return pair_groups(question, config, text, skipped)


def weigh(groups: list[Group], config: Config) -> None:
    """Nothing to weigh: the pairs carry their weights."""


def trainable(group: Group, config: Config) -> bool:
    """Whether there is a pair."""
    return bool(group.pairs)


def objective(logprobs: Any, batch: Any, config: Config) -> tuple[Any, dict[str, Any]]:
    """The micro-batch's share of L. `logprobs.completion` is `[B, N, T]`."""
    means = token_means(logprobs.completion, batch)  # [B, N]
    gap = gaps(log_odds(means))  # [B, N, N]
    odds_loss = over_pairs(softplus(-gap), batch)
    imitation = -over_better(means, batch)
    loss = imitation + config.odds_weight * odds_loss
    facts = {
        "loss": loss,
        "odds_loss": odds_loss,
        "nll": imitation,
        "logprob_chosen": over_better(means, batch),
        "logprob_rejected": over_worse(means, batch),
        "margin": over_pairs(gap, batch),
        "accuracy": over_pairs(gap > 0, batch),
        "pairs": (batch.pairs > 0).sum(),
    }
    return loss, {name: metric(value) for name, value in facts.items()}


def log_odds(means: Any) -> Any:
    """log( p / (1 - p) ) for p = e^s, of any shape; s is negative."""
    means = means.clamp(max=CERTAIN)
    return means - (-means.expm1()).log()
