"""What a queue holds: the questions its filter chooses, and the rationales shown of each.

`Queue.filter` has the keys of `Filter`. Two rationales of the same words are one card, so that
nobody is asked to compare a text with itself.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import (
    Count,
    Exists,
    F,
    FloatField,
    Max,
    Model,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
)
from django.db.models import Value as V
from django.db.models.expressions import Window
from django.db.models.functions import Cast, Coalesce, Random, RowNumber

from curation.models import (
    Decision,
    Ordering,
    Project,
    Question,
    Queue,
    QueueItem,
    Rationale,
    Review,
    Score,
)
from curation.queues import priorities

FEWEST, MOST = 1, 8


ScoreRange = tuple[str, float | None, float | None]


@dataclass(frozen=True)
class Filter:
    """Which questions, and which of their rationales. Empty means any.

    `min`: a question needs so many rationales; `max`: at most so many are shown, the oldest first.
    `limit`: so many questions at most. `hints`: show the reference answer and who meets it.
    `scores`: (scorer, lowest, highest) each, of the latest score; `decision`: accepted, rejected or
    undecided, by anybody; `batch`: the uuid of the run or import that wrote them, or several with
    commas between.
    `step_hints`: show beside each step whether its arithmetic holds and its numbers have a source.
    """

    split: str = ""
    source: str = ""
    roles: tuple[str, ...] = ()
    correct: bool | None = None
    scores: tuple[ScoreRange, ...] = ()
    decision: str = ""
    batch: str = ""
    min: int = 2
    max: int = MOST
    limit: int | None = None
    hints: bool = True
    step_hints: bool = True

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Filter:
        known = {key: value for key, value in stored.items() if key in cls.__dataclass_fields__}
        ranges = tuple((name, low, high) for name, low, high in known.get("scores") or ())
        return cls(**{**known, "roles": tuple(known.get("roles") or ()), "scores": ranges})

    def stored(self) -> dict[str, Any]:
        ranges = [list(one) for one in self.scores]
        return {**asdict(self), "roles": list(self.roles), "scores": ranges}


def rationales_of(project: Project, chosen: Filter) -> QuerySet[Rationale]:
    """The project's rationales that the filter lets through, whatever their question."""
    found = Rationale.objects.filter(question__project=project)
    if chosen.roles:
        found = found.filter(role__in=chosen.roles)
    if chosen.correct is not None:
        found = found.annotate(correct=latest_score("answer_correct"))
        found = found.filter(correct=1 if chosen.correct else 0)
    for number, (scorer, low, high) in enumerate(chosen.scores):
        found = found.annotate(**{f"score_{number}": latest_score(scorer)})
        bounds = {f"score_{number}__gte": low, f"score_{number}__lte": high}
        found = found.filter(**{name: bound for name, bound in bounds.items() if bound is not None})
    if chosen.batch:
        found = found.filter(batch__in=chosen.batch.split(","))
    return found.filter(decided(chosen.decision)) if chosen.decision else found


def decided(decision: str) -> Q:
    """Rationales that somebody accepts, that somebody rejects, or that nobody reviewed."""
    reviews = Review.objects.live().filter(rationale=OuterRef("pk"))
    if decision == "undecided":
        return Q(~Exists(reviews))
    kind = Decision.ACCEPT if decision == "accepted" else Decision.REJECT
    return Q(Exists(reviews.filter(decision=kind)))


def latest_score(scorer: str) -> Subquery:
    scores = Score.objects.filter(rationale=OuterRef("pk"), scorer=scorer).order_by("-id")
    return Subquery(scores.values("value")[:1])


def questions_of(project: Project, chosen: Filter) -> QuerySet[Question]:
    """The questions that the filter chooses, without its limit."""
    found = Question.objects.filter(project=project)
    if chosen.split:
        found = found.filter(split=chosen.split)
    if chosen.source:
        found = found.filter(source=chosen.source)
    rich = (
        rationales_of(project, chosen)
        .order_by()
        .values("question")
        .annotate(texts=Count("content_hash", distinct=True))
        .filter(texts__gte=chosen.min)
    )
    return found.filter(pk__in=rich.values("question"))


def count_matches(project: Project, chosen: Filter) -> int:
    """How many questions a queue with this filter would hold."""
    matches = questions_of(project, chosen).order_by().count()
    return matches if chosen.limit is None else min(matches, chosen.limit)


def fill(queue: Queue) -> int:
    """Put the matching questions that are not in the queue yet at its end; returns how many.

    One INSERT … SELECT, so that nine thousand questions take well under two seconds. Where the
    order is a computed one, the whole queue is put in order anew.
    """
    chosen = Filter.of(queue.filter)
    room = None
    if chosen.limit is not None:
        room = max(0, chosen.limit - queue.items.filter(is_gold=False).count())
    return add(queue, questions_of(queue.project, chosen), room)


def add(queue: Queue, questions: QuerySet[Question], room: int | None = None) -> int:
    """Put these questions of the queue's project at its end, those it has not yet; returns how
    many. `room`: at most so many."""
    added = 0 if room == 0 else _append(queue, questions, room)
    if added and queue.ordering in priorities.COMPUTED:
        priorities.refresh(queue)
    return added


@transaction.atomic
def _append(queue: Queue, questions: QuerySet[Question], room: int | None) -> int:
    Queue.objects.select_for_update().get(pk=queue.pk)
    last = queue.items.aggregate(last=Coalesce(Max("position"), 0.0))["last"]
    new = questions.filter(project=queue.project).exclude(queue_items__queue=queue).order_by()
    by = Random() if queue.ordering == Ordering.RANDOM else F("pk").asc()
    rows = new.annotate(
        place=Cast(Window(RowNumber(), order_by=by), FloatField()) + V(float(last))
    ).order_by("place")
    columns = {
        "queue_id": V(queue.pk),
        "question_id": F("pk"),
        "position": F("place"),
        "overlap": V(queue.overlap),
        "taken": V(0),
        "submitted": V(0),
        "is_gold": V(False),
        "is_split": V(False),
    }
    added = insert_select(QueueItem, columns, rows[:room])
    Queue.objects.filter(pk=queue.pk).update(items_total=F("items_total") + added)
    queue.refresh_from_db(fields=["items_total"])
    return added


def insert_select(model: type[Model], columns: dict[str, Any], rows: QuerySet[Any]) -> int:
    """INSERT INTO the model's table the columns selected from `rows`; returns how many."""
    select, params = rows.values_list(*columns.values()).query.sql_with_params()
    names = ", ".join(connection.ops.quote_name(name) for name in columns)
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({names}) {select}", params)
        added = cursor.rowcount
        # The planner learns of so many new rows at once; without, each claim sorts the queue.
        cursor.execute(f"ANALYZE {table}")
    return added


def shown_order(queue: Queue, question_id: int) -> list[int]:
    """The rationales a person is to see, in an order of their own."""
    chosen = Filter.of(queue.filter)
    # Should the filter choose nothing any more (a new score), there are still things to judge.
    order = _distinct(queue, question_id, chosen) or _distinct(queue, question_id, Filter())
    random.shuffle(order)
    return order


def _distinct(queue: Queue, question_id: int, chosen: Filter) -> list[int]:
    texts: dict[str, int] = {}
    found = rationales_of(queue.project, chosen).filter(question=question_id).order_by("pk")
    for pk, text in found.values_list("pk", "content_hash"):
        texts.setdefault(text, pk)
    return list(texts.values())[: chosen.max]
