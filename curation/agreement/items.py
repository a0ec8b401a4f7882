"""The questions behind a figure of agreement, the least agreed on first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from math import fsum

from django.db.models import F, Max, QuerySet
from django.utils import timezone

from curation.agreement.concordance import tau_b
from curation.agreement.testimony import One, model_rankings, rankings_in
from curation.models import Project, Question, Queue, QueueItem, Ranking, User

MOST = 2000  # questions that are looked at, the latest
LISTED = 100


@dataclass(frozen=True)
class Line:
    """One question, and how far those in question agree on it."""

    question: Question
    value: float | None
    judged: int
    is_split: bool = False


@dataclass(frozen=True)
class Between:
    """Who with whom: one person with another, with all others or with a model; or a model with
    all people. `week`: its Monday, for rankings of that week alone."""

    person: int | None = None
    other: int | None = None
    model: int | None = None
    week: date | None = None


def groups_behind(project: Project, queue: Queue | None, person: User | None) -> list[Line]:
    """The groups by Kendall's W; of `person` only those that this person judged."""
    found = QueueItem.objects.filter(queue__project=project, submitted__gte=2)
    found = found.filter(queue=queue) if queue else found
    if person is not None:
        found = found.filter(assignments__user=person, assignments__status="submitted")
    least = found.order_by(F("concordance").asc(nulls_last=True), "pk").select_related("question")
    return [
        Line(item.question, item.concordance, item.submitted, item.is_split)
        for item in least[:LISTED]
    ]


def pairs_behind(project: Project, queue: Queue | None, between: Between) -> list[Line]:
    """Each question's mean tau-b between the two sides."""
    here = Ranking.objects.live().filter(judge_model=None, question__project=project)
    here = here.filter(assignment__queue=queue) if queue else here
    anchors = here.filter(judge_user=between.person) if between.person else here
    latest = _within(anchors, between.week).order_by().values("question")
    newest = latest.annotate(at=Max("created_at")).order_by("-at")[:MOST]
    questions = [row["question"] for row in newest]
    said: dict[int, list[One]] = defaultdict(list)
    for one in rankings_in(here.filter(question__in=questions)):
        said[one.question].append(one)
    if between.model:
        for one in model_rankings({"question__in": questions}):
            said[one.question].append(one)
    found = {pk: list(_taus(ones, between)) for pk, ones in said.items()}
    means = {pk: fsum(taus) / len(taus) for pk, taus in found.items() if taus}
    least = sorted(means, key=lambda pk: (means[pk], pk))[:LISTED]
    rows = Question.objects.in_bulk(least)
    return [Line(rows[pk], means[pk], len(said[pk])) for pk in least]


def _within(rankings: QuerySet[Ranking], week: date | None) -> QuerySet[Ranking]:
    if week is None:
        return rankings
    monday = timezone.make_aware(datetime.combine(week, time()))
    return rankings.filter(created_at__gte=monday, created_at__lt=monday + timedelta(days=7))


def _taus(ones: list[One], between: Between) -> Iterator[float]:
    for n, first in enumerate(ones):
        for second in ones[:n]:
            judges = {first.judge, second.judge}
            if _meant(judges, between):
                tau = tau_b(first.said, second.said)
                if tau is not None:
                    yield tau


def _meant(judges: set[int], between: Between) -> bool:
    """Whether a pair of judges is one of those asked for; a model's key is negative."""
    people = {judge for judge in judges if judge > 0}
    models = judges - people
    wanted = {key for key in (between.person, between.other) if key}
    if between.model:
        return models == {-between.model} and wanted <= people
    return not models and len(people) == 2 and wanted <= people
