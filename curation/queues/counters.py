"""The figures that queues keep instead of counting: each moves in the transaction of its deed.

Rows are written in the order of all locks: assignment, item, tally, queue. `recount` says what the
figures ought to be; `manage.py recount` compares and mends.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, F, Max, OuterRef, Q
from django.utils import timezone

from curation.agreement.concordance import kendalls_w, splits
from curation.models import Assignment, AssignmentStatus, Place, Queue, QueueItem, Review, Tally

SUBMITTED = Q(status=AssignmentStatus.SUBMITTED)
SKIPPED = Q(status=AssignmentStatus.SKIPPED)


def count_submitted(held: Assignment, before: str) -> None:
    """`held` has just been submitted, and was `before` until then; call it in that transaction."""
    is_new = before != AssignmentStatus.SUBMITTED
    item = QueueItem.objects.select_for_update().get(pk=held.item_id)
    item.submitted += is_new
    item.concordance, item.is_split = agreement_on(item) if item.submitted > 1 else (None, False)
    item.save(update_fields=["submitted", "concordance", "is_split"])
    if not is_new:
        queue = Queue.objects.filter(pk=held.queue_id, agreement_is_stale=False)
        queue.update(agreement_is_stale=True)
        return
    undone = int(before == AssignmentStatus.SKIPPED)
    _add(held, submitted=1, skipped=-undone)
    Queue.objects.filter(pk=held.queue_id).update(
        submitted=F("submitted") + int(not item.is_gold),
        skipped=F("skipped") - undone,
        complete=F("complete") + int(item.submitted == item.overlap),
        agreement_is_stale=True,
    )


def note_said(questions: Collection[int], items: Collection[int] = ()) -> None:
    """Something was said of these questions outside the queues that hold them, by a judge model
    or in bulk: their agreement is computed anew. Of `items`, judgements were superseded by it, so
    that what their people said together has changed. Call it in that transaction."""
    for item in QueueItem.objects.filter(pk__in=items).order_by("pk").select_for_update():
        item.concordance, item.is_split = (
            agreement_on(item) if item.submitted > 1 else (None, False)
        )
        item.save(update_fields=["concordance", "is_split"])
    fresh = Queue.objects.filter(
        Exists(QueueItem.objects.filter(queue=OuterRef("pk"), question__in=questions)),
        agreement_is_stale=False,
    )
    # In the order of their keys, so that two such deeds do not wait in a circle.
    locked = fresh.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True)
    if keys := list(locked):
        Queue.objects.filter(pk__in=keys).update(agreement_is_stale=True)


def count_skipped(held: Assignment) -> None:
    """`held` has just been skipped; call it in that transaction, after the item is settled."""
    _add(held, skipped=1)
    Queue.objects.filter(pk=held.queue_id).update(skipped=F("skipped") + 1)


def _add(held: Assignment, **more: int) -> None:
    mine = Tally.objects.filter(queue=held.queue_id, user=held.user_id)
    moved = {name: F(name) + number for name, number in more.items()}
    if not mine.update(**moved, last_at=timezone.now()):
        Tally.objects.get_or_create(queue_id=held.queue_id, user_id=held.user_id)
        mine.update(**moved, last_at=timezone.now())


def agreement_on(item: QueueItem) -> tuple[float | None, bool]:
    """Kendall's W of those who ranked the item, and whether accept votes split on any rationale."""
    places = Place.objects.filter(
        ranking__assignment__item=item, ranking__superseded_at=None
    ).values_list("ranking_id", "rationale_id", "rank")
    said: dict[int, dict[int, float]] = {}
    for ranking, rationale, rank in places:
        said.setdefault(ranking, {})[rationale] = rank
    reviews = Review.objects.live().filter(assignment__item=item)
    return kendalls_w(list(said.values())), splits(reviews.values_list("rationale_id", "decision"))


@dataclass(frozen=True)
class Drift:
    """A kept figure that is not what counting gives."""

    what: str
    kept: int
    counted: int


def recount(queue: Queue, *, mend: bool = True) -> list[Drift]:
    """Count again; returns what had drifted, and unless `mend` is false sets it right."""
    with transaction.atomic():
        items = _items_drifted(queue, mend)
        Queue.objects.select_for_update().get(pk=queue.pk)
        people = _tallies_drifted(queue, mend)
        return items + people + _queue_drifted(queue, mend)


def _items_drifted(queue: Queue, mend: bool) -> list[Drift]:
    items = queue.items.order_by("pk").select_for_update()
    held = dict(
        Assignment.objects.filter(SUBMITTED, queue=queue)
        .order_by()
        .values_list("item")
        .annotate(n=Count("pk"))
    )
    wrong = [item for item in items if item.submitted != held.get(item.pk, 0)]
    found = [Drift(f"item {i.pk}: submitted", i.submitted, held.get(i.pk, 0)) for i in wrong]
    for item in wrong if mend else []:
        item.submitted = held.get(item.pk, 0)
        item.concordance, item.is_split = agreement_on(item)
        item.save(update_fields=["submitted", "concordance", "is_split"])
    return found


def _tallies_drifted(queue: Queue, mend: bool) -> list[Drift]:
    done = Assignment.objects.filter(queue=queue).order_by().values("user")
    counted: dict[int, dict[str, Any]] = {
        row["user"]: dict(row)
        for row in done.annotate(
            submitted=Count("pk", SUBMITTED), skipped=Count("pk", SKIPPED), last=Max("finished_at")
        )
    }
    kept = {tally.user_id: tally for tally in queue.tallies.all()}
    found = []
    for user in sorted(counted.keys() | kept.keys()):
        tally = kept.get(user) or Tally(queue=queue, user_id=user)
        row = counted.get(user, {"submitted": 0, "skipped": 0, "last": None})
        drift = [
            Drift(f"person {user}: {name}", getattr(tally, name), row[name])
            for name in ("submitted", "skipped")
            if getattr(tally, name) != row[name]
        ]
        if drift and mend:
            tally.submitted, tally.skipped = row["submitted"], row["skipped"]
            tally.last_at = row["last"]
            tally.save()
        found += drift
    return found


def _queue_drifted(queue: Queue, mend: bool) -> list[Drift]:
    regular = queue.items.filter(is_gold=False)
    done = Assignment.objects.filter(queue=queue)
    counted = {
        "items_total": regular.count(),
        "submitted": done.filter(SUBMITTED, item__is_gold=False).count(),
        "skipped": done.filter(SKIPPED).count(),
        "complete": regular.filter(submitted__gte=F("overlap")).count(),
    }
    queue.refresh_from_db(fields=list(counted))
    drift = [
        Drift(f"queue: {name}", getattr(queue, name), value)
        for name, value in counted.items()
        if getattr(queue, name) != value
    ]
    if drift and mend:
        Queue.objects.filter(pk=queue.pk).update(**counted)
        queue.refresh_from_db(fields=list(counted))
    return drift
