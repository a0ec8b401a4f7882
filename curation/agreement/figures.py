"""Who agrees with whom, and how far: computed by a worker, stored as `Figure` rows, read by pages.

For a queue, or a whole project, and for three windows of time:

* Krippendorff's alpha of accepts (nominal) and of ranks (ordinal, ties at their mean rank);
* Kendall's tau-b of each two people, of each person with all others, of all, and of each judge
  model with the people: the mean over the questions that both ranked. A judge that only rated is
  taken to rank by its last ratings;
* Kendall's W, the mean over the questions that two or more ranked;
* gold accuracy and median seconds of each person;
* tau-b by calendar week.

Formulas in `concordance`, intervals in `resampling`. Only live rankings and reviews count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone
from numpy.typing import NDArray

from curation.agreement.concordance import (
    Floats,
    Ints,
    alphas,
    coincidences,
    counts_of,
    kendalls_w,
    mid_ranks_of,
    taus,
)
from curation.agreement.resampling import bundles, interval, interval_of_median, ratio, sums
from curation.agreement.testimony import Judgements, read
from curation.models import Figure, Measure, Project, Queue, Review, Window

SPANS = {Window.ALL: None, Window.MONTH: timedelta(days=30), Window.WEEK: timedelta(days=7)}
WEEKS = 26
QUEUE_EVERY = timedelta(minutes=2)
PROJECT_EVERY = timedelta(minutes=15)


def measure(project: Project, queue: Queue | None = None) -> int:
    """Compute the figures of the queue, or of the project, and put them in the place of the old
    ones; returns how many."""
    now = timezone.now()
    said = read(project, queue)
    rows = [
        Figure(project=project, queue=queue, computed_at=now, **row) for row in figures(said, now)
    ]
    with transaction.atomic():
        # One writer at a time: two workers may have computed the same.
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        Figure.objects.filter(project=project, queue=queue).delete()
        Figure.objects.bulk_create(rows, batch_size=1000)
    return len(rows)


def measure_stale() -> int:
    """Measure the queues in which something was said since, and their projects less often."""
    now = timezone.now()
    due = Q(measured=None) | Q(measured__lt=now - QUEUE_EVERY)
    queues = Queue.objects.filter(agreement_is_stale=True).select_related("project")
    count = 0
    for queue in queues.annotate(measured=Max("figures__computed_at")).filter(due):
        if Queue.objects.filter(pk=queue.pk, agreement_is_stale=True).update(
            agreement_is_stale=False
        ):
            count += bool(measure(queue.project, queue))
    return count + sum(bool(measure(project)) for project in _stale_projects(now))


def _stale_projects(now: datetime) -> list[Project]:
    """Projects that were not measured just now, and where a queue was since, or something was
    said outside all queues."""
    own, queues = Q(figures__queue=None), Q(figures__queue__isnull=False)
    found = Project.objects.annotate(
        measured=Max("figures__computed_at", filter=own),
        moved=Max("figures__computed_at", filter=queues),
    ).exclude(moved=None, measured=None)
    return [project for project in found if _is_stale(project, now)]


def _is_stale(project: Any, now: datetime) -> bool:
    """`project` carries when it was `measured`, and when the last of its queues was: `moved`."""
    if project.measured is None:
        return True
    if project.measured >= now - PROJECT_EVERY:
        return False
    beside = Review.objects.filter(
        assignment=None, created_at__gt=project.measured, rationale__question__project=project
    )
    return bool(project.moved and project.measured < project.moved) or beside.exists()


Row = dict[str, Any]


def figures(said: Judgements, now: datetime) -> Iterator[Row]:
    """Every figure of the scope, as the fields of a `Figure`."""
    pairs, groups = pairs_of(said), groups_of(said)
    for window, span in SPANS.items():
        since = -np.inf if span is None else (now - span).timestamp()
        base = {"window": window}
        for row in _window(said, pairs, groups, since):
            yield base | row
    yield from _weeks(pairs, now)


def _window(said: Judgements, pairs: Pairs, groups: Groups, since: float) -> Iterator[Row]:
    recent = pairs.of(pairs.at >= since)
    yield from _alphas(said, since)
    late = groups.at >= since
    yield {"measure": Measure.W} | _mean(groups.question[late], groups.w[late])
    yield from _taus(recent)
    yield from _speeds(said, since)
    yield from _golds(said, since)


@dataclass(frozen=True)
class Pairs:
    """Two rankings of one question, `[P]` each; `one` is a person, `other` a person or, below
    zero, a model."""

    question: Ints
    one: Ints
    other: Ints
    at: Floats
    tau: Floats

    def of(self, which: NDArray[np.bool_]) -> Pairs:
        return Pairs(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    @property
    def between_people(self) -> Pairs:
        return self.of(self.other > 0)


def pairs_of(said: Judgements) -> Pairs:
    """Every two rankings of a question of which one is a person's; tau where it is defined."""
    order = np.argsort(said.question, kind="stable")
    _, starts, sizes = np.unique(said.question[order], return_index=True, return_counts=True)
    found: list[Ints] = [np.zeros((0, 2), dtype=np.int64)]
    for size in np.unique(sizes):
        rows = order[starts[sizes == size][:, None] + np.arange(size)]  # [G, size]
        found += [rows[:, list(two)] for two in combinations(range(size), 2)]
    both = np.concatenate(found)
    # The person first; of two people the one with the lower key.
    swap = (said.judge[both[:, 0]] < 0) | (
        (said.judge[both[:, 1]] > 0) & (said.judge[both[:, 0]] > said.judge[both[:, 1]])
    )
    both[swap] = both[swap][:, ::-1]
    both = both[said.judge[both[:, 0]] > 0]
    first, second = both[:, 0], both[:, 1]
    pairs = Pairs(
        question=said.question[first],
        one=said.judge[first],
        other=said.judge[second],
        at=np.maximum(said.at[first], said.at[second]),
        tau=taus(said.ranks[first], said.ranks[second]),
    )
    return pairs.of(np.isfinite(pairs.tau))


def _mean(question: Ints, value: Floats) -> Row:
    """The mean of values with its interval."""
    if not len(value):
        return {"value": None, "low": None, "high": None, "items": 0}
    low, high = interval(sums(bundles(question), value, np.ones(len(value))), ratio)
    items = len(np.unique(question))
    return {"value": float(value.mean()), "low": low, "high": high, "items": items}


def _taus(pairs: Pairs) -> Iterator[Row]:
    people = pairs.between_people
    yield {"measure": Measure.TAU} | _mean(people.question, people.tau)
    for person in np.unique(np.concatenate([people.one, people.other])):
        hers = people.of((people.one == person) | (people.other == person))
        yield _tau(hers, person_id=int(person))
    for one, other in np.unique(np.stack([people.one, people.other], axis=1), axis=0):
        theirs = people.of((people.one == one) & (people.other == other))
        yield _tau(theirs, person_id=int(one), other_id=int(other))
    for model in np.unique(pairs.other[pairs.other < 0]):
        judged = pairs.of(pairs.other == model)
        yield _tau(judged, model_id=-int(model))
        for person in np.unique(judged.one):
            with_her = judged.of(judged.one == person)
            yield _tau(with_her, model_id=-int(model), person_id=int(person))


def _tau(pairs: Pairs, **who: int) -> Row:
    return {"measure": Measure.TAU} | who | _mean(pairs.question, pairs.tau)


def _weeks(pairs: Pairs, now: datetime) -> Iterator[Row]:
    """tau-b among people by the week of the later ranking, the last half year."""
    people = pairs.between_people
    this_monday = monday_of(now)
    monday = np.array([monday_of(_moment(at)).toordinal() for at in people.at], dtype=np.int64)
    for week in np.unique(monday):
        if week > this_monday.toordinal() - 7 * WEEKS:
            found = people.of(monday == week)
            base = {"window": Window.ONE_WEEK, "week": date.fromordinal(int(week))}
            yield base | _tau(found)


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, tz=timezone.get_current_timezone())


def monday_of(moment: datetime) -> date:
    day = timezone.localtime(moment).date()
    return day - timedelta(days=day.weekday())


@dataclass(frozen=True)
class Groups:
    """Questions `[Q]` that two or more people ranked: when the last did, and Kendall's W."""

    question: Ints
    at: Floats
    w: Floats


def groups_of(said: Judgements) -> Groups:
    """Every such question for which W is defined."""
    rows = []
    for question, some in _by_question(said):
        rankings = [
            {n: rank for n, rank in enumerate(ranks) if rank == rank}
            for ranks in said.ranks[some].tolist()
        ]
        w = kendalls_w(rankings)
        if w is not None:
            rows.append((question, said.at[some].max(), w))
    table = np.array(rows, dtype=float).reshape(-1, 3)
    return Groups(table[:, 0].astype(np.int64), table[:, 1], table[:, 2])


def _by_question(said: Judgements) -> Iterator[tuple[int, Ints]]:
    """Each question that two or more people ranked, with the rows."""
    rows = np.flatnonzero(said.judge > 0)
    order = rows[np.argsort(said.question[rows], kind="stable")]
    known, starts = np.unique(said.question[order], return_index=True)
    pieces = np.split(order, starts[1:]) if len(order) else []
    for question, some in zip(known, pieces, strict=True):
        if len(some) > 1:
            yield int(question), some


def _alphas(said: Judgements, since: float) -> Iterator[Row]:
    votes = said.votes
    recent = votes["at"] >= since
    yield {"measure": Measure.ALPHA_ACCEPT} | _alpha(
        votes["question"][recent], votes["rationale"][recent], votes["accept"][recent],
        ordinal=False,
    )  # fmt: skip
    rows = np.flatnonzero((said.judge > 0) & (said.at >= since))
    ranks = mid_ranks_of(said.ranks[rows])
    row, column = np.nonzero(np.isfinite(ranks))
    question = said.question[rows][row]
    unit = question * (ranks.shape[1] + 1) + column
    yield {"measure": Measure.ALPHA_RANK} | _alpha(
        question, unit, (2 * ranks[row, column]).astype(np.int64), ordinal=True
    )


def _alpha(question: Ints, unit: Ints, value: Ints, *, ordinal: bool) -> Row:
    """alpha of what was said of units, each within a question."""
    counts, first = counts_of(unit, value)
    if not len(counts):
        return {"value": None, "low": None, "high": None, "items": 0}
    of_unit = question[first]
    parts = coincidences(bundles(of_unit), counts)
    low, high = interval(parts, partial(alphas, ordinal=ordinal))
    whole = alphas(parts.sum(0)[None], ordinal=ordinal)[0]
    value_or_none = float(whole) if np.isfinite(whole) else None
    items = len(np.unique(of_unit))
    return {"value": value_or_none, "low": low, "high": high, "items": items}


def _speeds(said: Judgements, since: float) -> Iterator[Row]:
    timed = (said.judge > 0) & (said.at >= since) & np.isfinite(said.seconds)
    yield {"measure": Measure.SECONDS} | _median(said.question[timed], said.seconds[timed])
    for person in np.unique(said.judge[timed]):
        own = timed & (said.judge == person)
        row = _median(said.question[own], said.seconds[own])
        yield {"measure": Measure.SECONDS, "person_id": int(person)} | row


def _median(question: Ints, values: Floats) -> Row:
    low, high = interval_of_median(values)
    value = float(np.median(values)) if len(values) else None
    return {"value": value, "low": low, "high": high, "items": len(np.unique(question))}


def _golds(said: Judgements, since: float) -> Iterator[Row]:
    recent = [row for row in said.gold if row[2] >= since]
    table = np.array(recent, dtype=float).reshape(-1, 4)
    question, person = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    yield {"measure": Measure.GOLD} | _mean(question, table[:, 3])
    for one in np.unique(person):
        own = person == one
        yield {"measure": Measure.GOLD, "person_id": int(one)} | _mean(question[own], table[own, 3])
