"""The server alone hands out work: one item, to one person, for a while.

`QueueItem.taken` counts the slots that are leased or submitted. It is recounted under the item's
row lock and never passes `overlap`. Locks are taken in one order everywhere (person, assignment,
item, queue), so that nobody waits in a circle.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Least
from django.utils import timezone

from curation.models import Assignment, AssignmentStatus, Queue, QueueItem, User
from curation.queues import shown_order

HOLDING = (AssignmentStatus.LEASED, AssignmentStatus.SUBMITTED)


def claim(queue: Queue, user: User) -> Assignment | None:
    """The item `user` is to work on: what they hold, what they lost if it is free, or a new one.

    None when nothing is left for this person, or when the queue is closed and they hold nothing.
    """
    expire(queue, but=user)
    with transaction.atomic():
        # One claim at a time for each person: two windows show the same item.
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        running = _running(queue, user)
        if running or not queue.is_open:
            return running
        return _taken_up_again(queue, user) or _new(queue, user)


def renew(assignment: Assignment) -> bool:
    """Prolong the lease, or win the slot back if it ran out and is free.

    False: others have the slot, or the person gave it back. Submitted work needs no lease: True.
    """
    until = _until(assignment.queue)
    mine = Assignment.objects.filter(pk=assignment.pk)
    if mine.filter(status=AssignmentStatus.LEASED).update(leased_until=until):
        return True
    with transaction.atomic():
        held = mine.select_for_update().get()
        if held.status != AssignmentStatus.EXPIRED:
            return held.status != AssignmentStatus.SKIPPED
        if not free_slot(held.item_id):
            return False
        mine.update(status=AssignmentStatus.LEASED, leased_until=until, finished_at=None)
        settle([held.item_id])
    return True


def skip(assignment: Assignment, reason: str) -> bool:
    """Give the item back with a reason; others are offered it. False: it is not held any more."""
    with transaction.atomic():
        skipped = Assignment.objects.filter(
            pk=assignment.pk, status__in=[AssignmentStatus.LEASED, AssignmentStatus.EXPIRED]
        ).update(
            status=AssignmentStatus.SKIPPED, skip_reason=reason[:200], finished_at=timezone.now()
        )
        if skipped:
            settle([assignment.item_id])
            Queue.objects.filter(pk=assignment.queue_id).update(skipped=F("skipped") + 1)
    return bool(skipped)


def expire(queue: Queue, *, but: User | None = None) -> int:
    """Free the slots of leases that ran out; drafts stay. Returns how many there were.

    `but`: a person who is here just now and goes on with what they hold.
    """
    late = Assignment.objects.filter(
        queue=queue, status=AssignmentStatus.LEASED, leased_until__lt=timezone.now()
    )
    if but is not None:
        late = late.exclude(user=but)
    if not late.exists():
        return 0
    with transaction.atomic():
        rows = list(late.select_for_update(skip_locked=True).values_list("pk", "item_id"))
        Assignment.objects.filter(pk__in=[pk for pk, _ in rows]).update(
            status=AssignmentStatus.EXPIRED
        )
        settle({item for _, item in rows})
    return len(rows)


def free_slot(item_id: int) -> bool:
    """Lock the item and say whether one more person may hold it."""
    item = QueueItem.objects.select_for_update().get(pk=item_id)
    return item.taken < item.overlap


def settle(items: Collection[int]) -> None:
    """Recount who holds each item, under its lock.

    A judgement that came after its slot went to somebody else is kept above the overlap; it
    fills no slot, hence the bound.
    """
    locked = QueueItem.objects.filter(pk__in=items).order_by("pk").select_for_update()
    pks = list(locked.values_list("pk", flat=True))
    held = (
        Assignment.objects.filter(item=OuterRef("pk"), status__in=HOLDING)
        .order_by()
        .values("item")
        .annotate(n=Count("pk"))
        .values("n")
    )
    QueueItem.objects.filter(pk__in=pks).update(
        taken=Least(F("overlap"), Coalesce(Subquery(held), 0))
    )


def _until(queue: Queue) -> datetime:
    return timezone.now() + timedelta(minutes=queue.lease_minutes)


def _running(queue: Queue, user: User) -> Assignment | None:
    """The lease this person holds, prolonged; late or not, nobody else has its slot."""
    mine = Assignment.objects.filter(queue=queue, user=user)
    held = mine.filter(status=AssignmentStatus.LEASED).order_by("pk").first()
    return held if held is not None and renew(held) else None


def _taken_up_again(queue: Queue, user: User) -> Assignment | None:
    """An own lease that ran out with a draft begun, if its slot is still free."""
    mine = Assignment.objects.filter(queue=queue, user=user, status=AssignmentStatus.EXPIRED)
    free = mine.filter(item__taken__lt=F("item__overlap")).order_by("-leased_until")
    for old in free[:5]:
        if renew(old):
            old.refresh_from_db()
            return old
    return None


def _new(queue: Queue, user: User) -> Assignment | None:
    item = _pick(queue, user)
    if item is None:
        return None
    item.taken += 1
    item.save(update_fields=["taken"])
    return Assignment.objects.create(
        item=item,
        queue=queue,
        question_id=item.question_id,
        user=user,
        shown_order=shown_order(queue, item.question_id),
        leased_until=_until(queue),
    )


def _pick(queue: Queue, user: User) -> QueueItem | None:
    """The first free item, locked. Items that others are just claiming are passed over at first;
    when nothing else is left, wait for them rather than say "done" to somebody who is not."""
    free = offered(queue, user).order_by("position", "pk")
    passing = free.select_for_update(skip_locked=True, of=("self",)).first()
    return passing or free.select_for_update(of=("self",)).first()


def offered(queue: Queue, user: User) -> QuerySet[QueueItem]:
    """The items with a free slot that this person has not had."""
    had = Assignment.objects.filter(item=OuterRef("pk"), user=user)
    return queue.items.filter(~Exists(had), taken__lt=F("overlap"))
