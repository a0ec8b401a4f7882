"""Best by judge: the k rationales of a question that a judge rates, or that people rank, highest.

By ratings: the mean of the judges' last ratings (`judge_rating`), or one judge's. By rankings: the
live rankings that the recipe counts become utilities as in `training/rewards/from_ranking.py`.
Rejection sampling as in RAFT (Dong et al., TMLR 2023) takes the best one, k = 1.

Traps: a rationale that no judge looked at is not the worst, so it is left out under a reason of its
own; utilities of two questions do not compare, so there is no share of the whole dataset here; ties
go to the rationale that came first. A judge that is a teacher too favours its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Literal

from pydantic import Field

from training.rewards.from_ranking import Reading, from_ranking
from training.rewards.judge_rating import mean_rating
from training.selection import Verdict
from training.selection.record import Asked, Candidate, Settings

TITLE = "Best by judge"
HELP = "The k best of each question, by a judge's ratings or by rankings."


class Config(Settings):
    """Whose judgement, and how many."""

    by: Literal["ratings", "rankings"] = Field(
        "ratings",
        title="By",
        description="ratings: scores that judge models gave. rankings: the ranks of people and "
        "judges that this recipe counts.",
    )
    judge: str = Field(
        "",
        pattern=r"^((model|person)-\d+)?$",
        title="Judge",
        description="One judge alone, as model-7 or person-3; empty takes all together.",
    )
    reading: Reading = Field(
        "plackett_luce",
        title="Ranks are read as",
        description="How rankings of several judges become one order.",
    )
    k: int = Field(1, ge=1, le=10_000, title="k", description="How many a question keeps at most.")


def select(question: Asked, config: Config) -> list[Verdict]:
    """Keep those that were judged at all."""
    judged = utilities(question, config)
    who = config.judge or "any judge"
    verb = "rated" if config.by == "ratings" else "ranked beside another"
    reason = f"Not {verb} by {who}"
    return [None if one.id in judged else reason for one in question.candidates]


def rank(questions: Sequence[Asked], config: Config) -> list[list[Verdict]]:
    """Keep the k best of each question."""
    return [best(question, config) for question in questions]


def best(question: Asked, config: Config) -> list[Verdict]:
    """One question's verdicts."""
    judged = utilities(question, config)
    # One that was ranked beside a duplicate alone has lost its company.
    order = sorted(question.candidates, key=lambda one: (-judged.get(one.id, -inf), one.id))
    chosen = {one.id for one in order[: config.k]}
    reason = f"Not among the {config.k} best of its question"
    return [None if one.id in chosen else reason for one in question.candidates]


def utilities(question: Asked, config: Config) -> dict[int, float]:
    """How good each judged candidate is; larger is better, those nobody judged are absent."""
    if config.by == "ratings":
        ratings = {one.id: rating(one, config.judge) for one in question.candidates}
        return {pk: value for pk, value in ratings.items() if value is not None}
    ids = [str(one.id) for one in question.candidates]
    heard = [
        {str(pk): place for pk, place in ranks.items()}
        for judge, ranks in sorted(question.rankings.items())
        if config.judge in ("", judge)
    ]
    values, present = from_ranking(ids, heard, config.reading)
    judged = zip(ids, values, present, strict=True)
    return {int(pk): value for pk, value, here in judged if here}


def rating(candidate: Candidate, judge: str) -> float | None:
    """One judge's last rating, or the mean over judges of theirs; None where there is none."""
    if judge:
        return candidate.scores.get(f"judge_rating@{judge}")
    return mean_rating(candidate.scores)
