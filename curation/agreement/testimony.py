"""All that was said in a queue or a project, as arrays to compute with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.agreement.concordance import Floats, Ints
from curation.models import Decision, Gold, Place, Project, Queue, Ranking, Review, Score
from curation.queues.gold import accuracy, known_in

RATING = "judge_rating"


@dataclass
class Judgements:
    """What was said in the scope. Rows of rankings by people come first, then those of models.

    `ranks` `[R, N]` holds the places by the rationale's number within its question, NaN where it
    has none; the other arrays `[R]` say of which question, by whom (a person's key, or minus a
    model's), when (seconds since 1970) and how long it took.
    """

    ranks: Floats
    question: Ints
    judge: Ints
    at: Floats
    seconds: Floats
    votes: dict[str, NDArray[Any]]  # question, rationale, reviewer, accept, at: [n] each
    gold: list[tuple[int, int, float, float]] = field(default_factory=list)
    # gold: question, person, when, accuracy


def read(project: Project, queue: Queue | None = None) -> Judgements:
    """All live judgements of the scope."""
    by_people = {"assignment__queue": queue} if queue else {"question__project": project}
    rankings = [
        *rankings_in(Ranking.objects.live().filter(judge_model=None, **by_people)),
        *model_rankings(
            {"question__queue_items__queue": queue} if queue else {"question__project": project}
        ),
    ]
    places = _places(rankings)
    return Judgements(
        ranks=places,
        question=np.array([one.question for one in rankings], dtype=np.int64),
        judge=np.array([one.judge for one in rankings], dtype=np.int64),
        at=np.array([one.at for one in rankings], dtype=float),
        seconds=np.array([one.seconds for one in rankings], dtype=float),
        votes=_votes(project, queue),
        gold=list(_gold(project, queue)),
    )


@dataclass(slots=True)
class One:
    """One ranking: by a person's key, or minus a model's; `said` is rationale -> rank."""

    question: int
    judge: int
    at: float
    seconds: float
    said: dict[int, float]


def rankings_in(found: Any) -> Iterator[One]:
    columns = ("pk", "question", "judge_user", "judge_model", "created_at", "seconds_spent")
    ones = {
        pk: One(question, person or -model, at.timestamp(), _number(seconds), {})
        for pk, question, person, model, at, seconds in found.values_list(*columns)
    }
    places = Place.objects.filter(ranking__in=found.values("pk")).order_by()
    for pk, rationale, rank in places.values_list("ranking", "rationale", "rank").iterator():
        if pk in ones:
            ones[pk].said[rationale] = rank
    yield from ones.values()


def _number(seconds: float | None) -> float:
    return float("nan") if seconds is None else seconds


def model_rankings(here: dict[str, Any]) -> Iterator[One]:
    """What models ranked and, where they did not, the order of their last ratings."""
    ranked = set()
    for one in rankings_in(Ranking.objects.live().filter(judge_model__isnull=False, **here)):
        ranked.add((one.question, one.judge))
        yield one
    rated: dict[tuple[int, int], One] = {}
    for question, rationale, model, value, at in _ratings(here):
        key = (question, -model)
        if key not in ranked:
            one = rated.setdefault(key, One(question, -model, at, float("nan"), {}))
            one.said[rationale], one.at = -value, max(one.at, at)
    yield from rated.values()


def _ratings(here: dict[str, Any]) -> Iterator[tuple[int, int, int, float, float]]:
    """question, rationale, model, rating, when: the last one last."""
    scores = Score.objects.filter(
        scorer=RATING, model__isnull=False, value__isnull=False,
        **{f"rationale__{name}": value for name, value in here.items()},
    )  # fmt: skip
    columns = ("rationale__question", "rationale", "model", "value", "created_at")
    for question, rationale, model, value, at in scores.order_by("pk").values_list(*columns):
        yield question, rationale, model, value, at.timestamp()


def _places(rankings: list[One]) -> Floats:
    """The matrix `ranks` of Judgements."""
    numbers: dict[int, dict[int, int]] = {}
    for one in rankings:
        known = numbers.setdefault(one.question, {})
        for rationale in one.said:
            known.setdefault(rationale, len(known))
    width = max((len(known) for known in numbers.values()), default=0)
    ranks = np.full((len(rankings), width), np.nan)
    for row, one in enumerate(rankings):
        known = numbers[one.question]
        for rationale, rank in one.said.items():
            ranks[row, known[rationale]] = rank
    return ranks


def _votes(project: Project, queue: Queue | None) -> dict[str, NDArray[Any]]:
    here = {"assignment__queue": queue} if queue else {"rationale__question__project": project}
    columns = ("rationale__question", "rationale", "reviewer", "decision", "created_at")
    rows = [
        (question, rationale, reviewer, int(decision == Decision.ACCEPT), at.timestamp())
        for question, rationale, reviewer, decision, at in Review.objects.live()
        .filter(**here)
        .values_list(*columns)
    ]
    names = ("question", "rationale", "reviewer", "accept", "at")
    table = np.array(rows, dtype=float).reshape(-1, len(names))
    return {
        name: table[:, n] if name == "at" else table[:, n].astype(np.int64)
        for n, name in enumerate(names)
    }


def _gold(project: Project, queue: Queue | None) -> Iterator[tuple[int, int, float, float]]:
    """question, person, when, accuracy of every judgement of a gold item."""
    golds = Gold.objects.filter(item__queue__project=project).select_related("item")
    for gold in golds.filter(item__queue=queue) if queue else golds:
        known = known_in(gold.ranks, gold.decisions)
        said: dict[int, tuple[dict[int, int], dict[int, str]]] = {}
        when: dict[int, float] = {}
        places = Place.objects.filter(
            ranking__assignment__item=gold.item, ranking__superseded_at=None
        ).values_list("ranking__judge_user", "ranking__created_at", "rationale", "rank")
        for person, at, rationale, rank in places:
            said.setdefault(person, ({}, {}))[0][rationale] = rank
            when[person] = at.timestamp()
        reviews = Review.objects.live().filter(assignment__item=gold.item)
        for person, at, rationale, decision in reviews.values_list(
            "reviewer", "created_at", "rationale", "decision"
        ):
            said.setdefault(person, ({}, {}))[1][rationale] = decision
            when.setdefault(person, at.timestamp())
        for person, judgement in said.items():
            share = accuracy(known, *judgement)
            if share is not None:
                yield gold.item.question_id, person, when[person], share
