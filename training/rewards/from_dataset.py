"""The rewards of stored completions: from rankings, reviews or scores, or by the functions."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Literal

from training.decoding.record import Completion, Question
from training.rewards.compose import combined, scored
from training.rewards.from_ranking import Reading, from_ranking
from training.rewards.sample import stored

RewardFrom = Literal["auto", "rankings", "reviews", "scores", "rewards"]


def stored_rewards(
    question: Question,
    completions: Sequence[Completion],
    weights: dict[str, float],
    reward_from: RewardFrom = "auto",
    reading: Reading = "plackett_luce",
) -> tuple[list[float], list[bool]]:
    """Rewards `[N]` and present `[N]`; NaN and absent where nothing is known.

    `auto` takes rankings if they place two of the completions, else the stored scores named in
    `weights`, else the reward functions of those names. Reviews say 1 or 0, and only if asked for.
    """
    sources = ["rankings", "scores", "rewards"] if reward_from == "auto" else [reward_from]
    for source in sources:
        rewards, present = _READ[source](question, completions, weights, reading)
        if sum(present) >= 2:
            return rewards, present
    return rewards, present


def best_first(question: Question, completions: Sequence[Completion]) -> list[Completion]:
    """Best ranked first; the unranked keep their order behind the ranked."""
    ranks = [ranking.ranks for ranking in question.rankings]
    rewards, present = from_ranking([c.id for c in completions], ranks)
    order = sorted(
        range(len(completions)), key=lambda n: (not present[n], -rewards[n] if present[n] else 0)
    )
    return [completions[n] for n in order]


def _from_rankings(
    question: Question,
    completions: Sequence[Completion],
    weights: dict[str, float],
    reading: Reading,
) -> tuple[list[float], list[bool]]:
    ranks = [ranking.ranks for ranking in question.rankings]
    return from_ranking([c.id for c in completions], ranks, reading)


def _from_reviews(
    question: Question,
    completions: Sequence[Completion],
    weights: dict[str, float],
    reading: Reading,
) -> tuple[list[float], list[bool]]:
    """1 for what a reviewer accepted, 0 for what one rejected."""
    said = [completion.accepted for completion in completions]
    return [nan if one is None else float(one) for one in said], [one is not None for one in said]


def _from_scores(
    question: Question,
    completions: Sequence[Completion],
    weights: dict[str, float],
    reading: Reading,
) -> tuple[list[float], list[bool]]:
    named = [{name: c.scores.get(name, nan) for name in weights} for c in completions]
    return combined(named, weights)


def _from_functions(
    question: Question,
    completions: Sequence[Completion],
    weights: dict[str, float],
    reading: Reading,
) -> tuple[list[float], list[bool]]:
    found = [scored(question, stored(question, c), weights) for c in completions]
    return combined([one.values for one in found], weights)


_READ = {
    "rankings": _from_rankings,
    "reviews": _from_reviews,
    "scores": _from_scores,
    "rewards": _from_functions,
}
