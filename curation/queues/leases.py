"""The server alone hands out work: one item, to one person, for a while.

`QueueItem.taken` counts the slots that are leased or submitted. It is recounted under the item's
row lock and never passes `overlap`. Locks are taken in one order everywhere (person, assignment,
item, queue), so that nobody waits in a circle.

While somebody judges one item, the next is leased ahead for a short while (`claim_ahead`), so that
it is there at once. Whoever finds nothing else takes over what others merely keep ready.

Leases begin and end by the database's clock: those of two web hosts may be minutes apart.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Least, Now
from django.utils import timezone

from curation.models import Assignment, AssignmentStatus, Queue, QueueItem, User
from curation.queues.contents import shown_order
from curation.queues.counters import count_skipped

RUNNING = (AssignmentStatus.AHEAD, AssignmentStatus.LEASED)
HOLDING = (*RUNNING, AssignmentStatus.SUBMITTED)
AT_HAND = (*RUNNING, AssignmentStatus.EXPIRED)
AHEAD_FOR = timedelta(minutes=3)


def claim(queue: Queue, user: User) -> Assignment | None:
    """The item `user` is to work on: what they hold, what they lost if it is free, or a new one.

    None when nothing is left for this person; when the queue is closed, or given to others, and
    they hold nothing.
    """
    expire(queue, but=user)
    with transaction.atomic():
        # One claim at a time for each person: two windows show the same item.
        until = _lock(user) + timedelta(minutes=queue.lease_minutes)
        mine = list(queue.assignments.filter(user=user, status__in=AT_HAND))
        running = _running(mine)
        if running or not queue.is_open or not may_judge(queue, user):
            return running
        return (
            _taken_up_again(queue, mine)
            or _kept_ready(queue, mine, until)
            or _new(queue, user, until)
        )


def claim_ahead(queue: Queue, user: User) -> Assignment | None:
    """Keep the next item ready for somebody who holds one; None where there is nothing to keep.

    It is released when it is not used within `AHEAD_FOR`; work on the item at hand prolongs it.
    """
    with transaction.atomic():
        until = _lock(user) + AHEAD_FOR
        mine = Assignment.objects.filter(queue=queue, user=user)
        ready = mine.filter(status=AssignmentStatus.AHEAD).first()
        if ready or not queue.is_open or not mine.filter(status=AssignmentStatus.LEASED).exists():
            return ready
        item = _gold(queue, user) or _passing(queue, user)
        return _hold(item, user, AssignmentStatus.AHEAD, until) if item else None


def may_judge(queue: Queue, user: User) -> bool:
    """Whether the queue is given to this person; where nobody is named, to every annotator."""
    named = set(queue.people.filter(judges=True).values_list("user_id", flat=True))
    return not named or user.pk in named


def release_ahead(queue: Queue) -> int:
    """Let go of all that is merely kept ready; returns how many items."""
    with transaction.atomic():
        kept = Assignment.objects.filter(queue=queue, status=AssignmentStatus.AHEAD)
        rows = list(kept.select_for_update().values_list("pk", "item_id"))
        _let_go(rows)
    return len(rows)


def _let_go(rows: list[tuple[int, int]]) -> None:
    """Rows of (assignment, item), locked, that nobody has looked at: they never were."""
    Assignment.objects.filter(pk__in=[pk for pk, _ in rows]).delete()
    settle([item for _, item in rows])


def renew(assignment: Assignment) -> bool:
    """Prolong the lease, or win the slot back if it ran out and is free.

    False: others have the slot, or the person gave it back. Submitted work needs no lease: True.
    """
    until = Now() + timedelta(minutes=assignment.queue.lease_minutes)
    mine = Assignment.objects.filter(pk=assignment.pk)
    if mine.filter(status=AssignmentStatus.LEASED).update(leased_until=until):
        Assignment.objects.filter(
            queue=assignment.queue_id, user=assignment.user_id, status=AssignmentStatus.AHEAD
        ).update(leased_until=Now() + AHEAD_FOR)
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
            count_skipped(assignment)
    return bool(skipped)


def expire(queue: Queue, *, but: User | None = None) -> int:
    """Free the slots of leases that ran out; drafts stay. Returns how many there were.

    What was merely kept ready goes without a trace.

    `but`: a person who is here just now and goes on with what they hold.
    """
    late = Assignment.objects.filter(queue=queue, status__in=RUNNING, leased_until__lt=Now())
    if but is not None:
        late = late.exclude(user=but)
    if not late.exists():
        return 0
    with transaction.atomic():
        rows = list(late.order_by("pk").select_for_update(skip_locked=True))
        late_ones = Assignment.objects.filter(pk__in=[row.pk for row in rows])
        late_ones.filter(status=AssignmentStatus.AHEAD).delete()
        late_ones.update(status=AssignmentStatus.EXPIRED)
        settle({row.item_id for row in rows})
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


def _lock(user: User) -> datetime:
    """Until the transaction ends this person claims nothing else. The time in the database."""
    locked = User.objects.select_for_update(no_key=True).values_list(Now(), flat=True)
    now: datetime = locked.get(pk=user.pk)
    return now


def _running(mine: list[Assignment]) -> Assignment | None:
    """The lease this person holds, prolonged; late or not, nobody else has its slot."""
    held = [row for row in mine if row.status == AssignmentStatus.LEASED]
    first = min(held, key=lambda row: row.pk, default=None)
    return first if first is not None and renew(first) else None


def _taken_up_again(queue: Queue, mine: list[Assignment]) -> Assignment | None:
    """An own lease that ran out with a draft begun, if its slot is still free."""
    lost = [row.pk for row in mine if row.status == AssignmentStatus.EXPIRED]
    if not lost:
        return None
    free = queue.assignments.filter(pk__in=lost, item__taken__lt=F("item__overlap"))
    for old in free.order_by("-leased_until")[:5]:
        if renew(old):
            old.refresh_from_db()
            return old
    return None


def _kept_ready(queue: Queue, mine: list[Assignment], until: datetime) -> Assignment | None:
    """The item that was leased ahead for this person, unless somebody has just taken it over; from
    now on they hold it."""
    kept = [row.pk for row in mine if row.status == AssignmentStatus.AHEAD]
    ready = queue.assignments.filter(pk__in=kept).select_for_update().first() if kept else None
    if ready is None:
        return None
    ready.status, ready.leased_at = AssignmentStatus.LEASED, timezone.now()
    ready.leased_until = until
    ready.save(update_fields=["status", "leased_at", "leased_until"])
    return ready


def _new(queue: Queue, user: User, until: datetime) -> Assignment | None:
    item = _gold(queue, user) or _pick(queue, user) or _taken_over(queue, user)
    return _hold(item, user, AssignmentStatus.LEASED, until) if item else None


def _hold(item: QueueItem, user: User, status: str, until: datetime) -> Assignment:
    """Give the locked item to the person."""
    item.taken += 1
    item.save(update_fields=["taken"])
    return Assignment.objects.create(
        item=item,
        queue=item.queue,
        question_id=item.question_id,
        user=user,
        status=status,
        shown_order=shown_order(item.queue, item.question_id),
        leased_until=until,
    )


def _pick(queue: Queue, user: User) -> QueueItem | None:
    """The first free item, locked. Items that others are just claiming are passed over at first;
    when nothing else is left, wait for them rather than say "done" to somebody who is not."""
    waited = offered(queue, user).order_by("position", "pk").select_for_update(of=("self",))
    return _passing(queue, user) or waited.first()


def _passing(queue: Queue, user: User) -> QueueItem | None:
    free = offered(queue, user).order_by("position", "pk")
    return free.select_for_update(skip_locked=True, of=("self",)).first()


def _gold(queue: Queue, user: User) -> QueueItem | None:
    """Now and then a gold item that this person has not had, as long as there is other work."""
    if random.random() >= queue.gold_share:
        return None
    known = queue.items.filter(_not_had_by(user), is_gold=True)
    if not known.exists() or not offered(queue, user).exists():
        return None
    return known.order_by("?").select_for_update(skip_locked=True, of=("self",)).first()


def _taken_over(queue: Queue, user: User) -> QueueItem | None:
    """An item that somebody else merely keeps ready."""
    kept = Assignment.objects.filter(
        ~Exists(Assignment.objects.filter(item=OuterRef("item"), user=user)),
        queue=queue,
        status=AssignmentStatus.AHEAD,
        item__is_gold=False,
    )
    row = kept.order_by("leased_until").select_for_update(skip_locked=True, of=("self",)).first()
    if row is None:
        return None
    _let_go([(row.pk, row.item_id)])
    return offered(queue, user).filter(pk=row.item_id).select_for_update(of=("self",)).first()


def offered(queue: Queue, user: User) -> QuerySet[QueueItem]:
    """The items with a free slot that this person has not had. Gold is not among them."""
    return queue.items.filter(_not_had_by(user), is_gold=False, taken__lt=F("overlap"))


def _not_had_by(user: User) -> Q:
    return Q(~Exists(Assignment.objects.filter(item=OuterRef("pk"), user=user)))
