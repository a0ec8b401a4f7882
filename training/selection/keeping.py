"""How many stay: so many a question, or a share of the whole dataset. Not a selection itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Literal

from pydantic import Field

from training.selection import Verdict
from training.selection.record import Asked, Candidate, Settings

Prefer = Callable[[list[Candidate]], list[Candidate]]  # the same ones, the preferred first


class Keeping(Settings):
    """Settings of selections that keep a number of what is left."""

    keep: Literal["per_question", "share"] = Field(
        "per_question",
        title="Keep",
        description="per_question: the first k of every question. share: a part of all rationales "
        "of the split, whichever questions they belong to.",
    )
    k: int = Field(2, ge=1, le=10_000, title="k", description="How many a question keeps at most.")
    share: float = Field(
        0.3,
        gt=0,
        le=1,
        title="Share",
        description="Of all rationales that the selection was given, right or wrong; fewer stay "
        "where fewer are fit.",
    )

    @property
    def over_dataset(self) -> bool:
        return self.keep == "share"


def keep_first(questions: Sequence[Asked], config: Keeping, prefer: Prefer) -> list[list[Verdict]]:
    """Verdicts for each question: None for the preferred ones, as many as `config` lets stay.

    A share counts from what was `considered`, so that every selection with one share keeps the
    same number, if it finds as many.
    """
    if config.keep == "per_question":
        reason = f"Not among the {config.k} chosen of its question"
        pools = [question.candidates for question in questions]
        rooms = [config.k] * len(pools)
    else:
        reason = f"Not among the {config.share:.3g} of all rationales that are chosen"
        pools = [[one for question in questions for one in question.candidates]]
        considered = sum(question.considered for question in questions)
        rooms = [ceil(config.share * considered - 1e-9)]
    chosen = {
        one.id for pool, room in zip(pools, rooms, strict=True) for one in prefer(pool)[:room]
    }
    return [
        [None if one.id in chosen else reason for one in question.candidates]
        for question in questions
    ]
