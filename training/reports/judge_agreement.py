"""How far a judge model agrees with people, on the questions that both judged.

For each question, each person's live ranking is held against what the judge said of the same
rationales: its ranking, or the order of its ratings.

    tau        mean of Kendall's tau-b over (question, person), as on the page of agreement: who
               ranked counts as often as they did, and what the data leave undefined does not
    accuracy   of the pairs that a person puts in an order, the share that the judge puts in the
               same; a pair that the judge ties counts one half, so that guessing gives 0.5
    longer     of the pairs that somebody puts in an order, the share with the longer text first:
               the judge's beside the people's. A judge far above people likes length

Each with the 95 % interval of redrawn questions (`curation.agreement.resampling`). An experiment's
page says `tau` by the same `tau_with_people`, of its judge and of its verifier. Given ids of
questions, as those of an iteration or its anchors, only these count; given a version, only what the
judge said by that prompt, also where a later run superseded it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from django.db.models.functions import Length

from curation.agreement.concordance import tau_b
from curation.agreement.resampling import bundles, interval, ratio, sums
from curation.agreement.testimony import RATING, model_rankings, rankings_in
from curation.models import LanguageModel, Place, Project, Ranking, Rationale, Score

MOST = 2000  # questions that are looked at, the latest

Ranks = Mapping[int, float]


@dataclass(frozen=True)
class Share:
    """A figure with its 95 % interval and what it rests on; None where nothing defines it."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Agreement:
    """A judge against people."""

    questions: int  # that both judged
    tau: Share  # n: comparisons of the judge with one person on one question
    accuracy: Share  # n: pairs
    longer: Share
    longer_people: Share


def agreement_with_people(
    project: Project,
    judge: LanguageModel,
    question_ids: Collection[int] | None = None,
    version: str = "",
) -> Agreement:
    """The judge's agreement on the questions named, or on the latest that it judged."""
    here = {"question__project": project}
    if question_ids is not None:
        here["question__in"] = list(question_ids)  # type: ignore[assignment]
    said = said_by_version(judge, version, here) if version else said_now(judge, here)
    latest = sorted(said, reverse=True)[:MOST]
    people = by_people(latest)
    shared = {question: said[question] for question in latest if question in people}
    lengths = lengths_of(pk for ranks in shared.values() for pk in ranks)
    return agreement(shared, people, lengths)


def said_now(judge: LanguageModel, here: Mapping[str, object]) -> dict[int, Ranks]:
    """question -> rationale -> rank: the live ranking or, without one, the last ratings."""
    found = model_rankings(dict(here))
    return {one.question: one.said for one in found if one.judge == -judge.pk}


def said_by_version(
    judge: LanguageModel, version: str, here: Mapping[str, object]
) -> dict[int, Ranks]:
    """The same, of what it said by one prompt; the last time counts."""
    found: dict[int, dict[int, float]] = {}
    rankings = Ranking.objects.filter(judge_model=judge, verdict__version=version, **here)
    last = {question: pk for pk, question in rankings.order_by("pk").values_list("pk", "question")}
    places = Place.objects.filter(ranking__in=last.values())
    for question, pk, rank in places.values_list("ranking__question", "rationale", "rank"):
        found.setdefault(question, {})[pk] = rank
    rated = Score.objects.filter(
        scorer=RATING, scorer_version=version, model=judge,
        **{f"rationale__{name}": value for name, value in here.items()},
    )  # fmt: skip
    columns = ("rationale__question", "rationale", "value")
    for question, pk, value in rated.exclude(value=None).order_by("pk").values_list(*columns):
        found.setdefault(question, {})[pk] = -value
    return dict(found)


def by_people(questions: Collection[int]) -> dict[int, list[Ranks]]:
    """question -> the live ranking of each person. Those of models are never among them."""
    live = Ranking.objects.live().filter(judge_model=None, question__in=questions)
    found: dict[int, list[Ranks]] = {}
    for one in rankings_in(live):
        found.setdefault(one.question, []).append(one.said)
    return found


def lengths_of(rationales: Iterator[int]) -> dict[int, int]:
    """Characters of thought and answer."""
    found = Rationale.objects.filter(pk__in=list(rationales))
    return dict(found.values_list("pk", Length("thought") + Length("answer")))


def agreement(
    judge: Mapping[int, Ranks], people: Mapping[int, list[Ranks]], lengths: Mapping[int, int]
) -> Agreement:
    """The figures: `judge` and `people` by question."""
    taus = taus_with_people(judge, people)
    hits, longer, longer_people = [], [], []
    for question, ranks in judge.items():
        for person in people[question]:
            hits.append((question, *agreeing_pairs(ranks, person)))
            longer_people.append((question, *longer_first(person, ranks, lengths)))
        longer.append((question, *longer_first(ranks, people[question][0], lengths)))
    return Agreement(
        questions=len({question for question, _, _ in taus}),
        tau=share(taus),
        accuracy=share(hits),
        longer=share(longer),
        longer_people=share(longer_people),
    )


def tau_with_people(said: Mapping[int, Ranks], people: Mapping[int, Sequence[Ranks]]) -> Share:
    """tau of whoever `said` an order, a judge or a verifier, with people; both by question."""
    return share(taus_with_people(said, people))


def taus_with_people(
    said: Mapping[int, Ranks], people: Mapping[int, Sequence[Ranks]]
) -> list[tuple[int, float, float]]:
    """(question, tau-b, 1) of each person who ranked it, where both put something in an order."""
    return [
        (question, tau, 1.0)
        for question, ranks in said.items()
        for person in people.get(question, [])
        if (tau := tau_b(ranks, person)) is not None
    ]


def agreeing_pairs(judge: Ranks, person: Ranks) -> tuple[float, float]:
    """How many of the pairs that the person orders the judge orders alike, and of how many."""
    hits = pairs = 0.0
    for one, other in combinations([pk for pk in person if pk in judge], 2):
        if person[one] != person[other]:
            same = (judge[one] - judge[other]) * (person[one] - person[other])
            hits += 0.5 if same == 0 else same > 0
            pairs += 1
    return hits, pairs


def longer_first(ranks: Ranks, placed: Ranks, lengths: Mapping[int, int]) -> tuple[float, float]:
    """How many of the ordered pairs have the longer text first, among what `placed` holds too."""
    known = [pk for pk in ranks if pk in placed and pk in lengths]
    two = [(a, b) for a, b in combinations(known, 2) if ranks[a] != ranks[b]]
    unlike = [(a, b) for a, b in two if lengths[a] != lengths[b]]
    first = sum((ranks[a] < ranks[b]) == (lengths[a] > lengths[b]) for a, b in unlike)
    return float(first), float(len(unlike))


def share(rows: list[tuple[int, float, float]]) -> Share:
    """The sum of the second over the sum of the third, questions redrawn for the interval."""
    table = np.array(rows, dtype=float).reshape(-1, 3)
    n = table[:, 2].sum()
    if not n:
        return Share(None, None, None, 0)
    parts = sums(bundles(table[:, 0].astype(np.int64)), table[:, 1], table[:, 2])
    low, high = interval(parts, ratio)
    return Share(float(table[:, 1].sum() / n), low, high, int(n))
