"""The rewards of stored completions: from rankings, reviews or scores, or by the functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import nan
from typing import Literal

from training.decoding.record import Completion, Question
from training.rewards.compose import combined, scored
from training.rewards.from_ranking import Reading, from_ranking, separate_parts
from training.rewards.judge_rating import SCORER, mean_rating
from training.rewards.sample import stored

RewardFrom = Literal["auto", "rankings", "reviews", "scores", "rewards"]
Found = tuple[list[float], list[bool]]  # rewards [N] and present [N]


def stored_rewards(
    question: Question,
    completions: Sequence[Completion],
    weights: dict[str, float],
    reward_from: RewardFrom = "auto",
    reading: Reading = "plackett_luce",
    counted: Counter[str] | None = None,
) -> Found:
    """Rewards `[N]` and present `[N]`; NaN and absent where nothing is known.

    `auto` takes rankings if they place two of the completions, else the stored scores named in
    `weights`, else the reward functions of those names. Reviews say 1 or 0, and only if asked for.
    Faults of the reward functions are added to `counted`, in words.
    """
    told: Counter[str] = Counter()
    sources = ["rankings", "scores", "rewards"] if reward_from == "auto" else [reward_from]
    for source in sources:
        told.clear()
        if source == "rankings":
            rewards, present = _from_rankings(question, completions, reading)
        elif source == "rewards":
            rewards, present = _from_functions(question, completions, weights, told)
        else:
            rewards, present = _READ[source](completions, weights)
        if sum(present) >= 2:
            break
    if counted is not None:
        counted.update(told)
    return rewards, present


def ranked_in_parts(questions: Iterable[Question]) -> int:
    """Of how many questions the ranked completions fall into parts that nobody compared with one
    another: between them, rewards are the prior's word."""
    return sum(
        separate_parts([c.id for c in one.completions], [r.ranks for r in one.rankings]) > 1
        for one in questions
    )


def best_first(question: Question, completions: Sequence[Completion]) -> list[Completion]:
    """Best ranked first; the unranked keep their order behind the ranked."""
    rewards, present = _from_rankings(question, completions, "plackett_luce")
    order = sorted(
        range(len(completions)), key=lambda n: (not present[n], -rewards[n] if present[n] else 0)
    )
    return [completions[n] for n in order]


def _from_rankings(
    question: Question, completions: Sequence[Completion], reading: Reading
) -> Found:
    """Judges count by their weights, which `reliability.weighed` may have set."""
    ranks = [ranking.ranks for ranking in question.rankings]
    counts = [ranking.weight for ranking in question.rankings]
    return from_ranking([completion.id for completion in completions], ranks, reading, counts)


def _from_reviews(completions: Sequence[Completion], weights: dict[str, float]) -> Found:
    """1 for what a reviewer accepted, 0 for what one rejected."""
    said = [completion.accepted for completion in completions]
    return [nan if one is None else float(one) for one in said], [one is not None for one in said]


def _from_scores(completions: Sequence[Completion], weights: dict[str, float]) -> Found:
    """The stored scores of these names; of judges the mean."""
    return combined([{**c.scores, SCORER: mean_rating(c.scores)} for c in completions], weights)


def _from_functions(
    question: Question,
    completions: Sequence[Completion],
    weights: dict[str, float],
    told: Counter[str],
) -> Found:
    found = [scored(question, stored(question, c), weights) for c in completions]
    for one in found:
        told.update(f"reward {name}: {fault}" for name, fault in one.faults.items())
    return combined([one.values for one in found], weights)


_READ = {"reviews": _from_reviews, "scores": _from_scores}
