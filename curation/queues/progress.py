"""How far a queue is, and who brought it there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from curation.models import (
    Assignment,
    AssignmentStatus,
    Measure,
    Project,
    Queue,
    QueuePerson,
    Tally,
    User,
    Window,
)
from curation.queues.leases import may_judge, offered

SKIPPED = Q(status=AssignmentStatus.SKIPPED)
LEASED = Q(status=AssignmentStatus.LEASED)


@dataclass(frozen=True)
class Person:
    """What one person did in a queue."""

    user: User
    submitted: int
    skipped: int
    running: int
    last: datetime | None
    seconds: float | None
    named: QueuePerson | None


def queues_of(project: Project, user: User) -> QuerySet[Queue]:
    """The project's queues, each with what this user did in it (`mine`, `held`, `invited`)."""
    here = OuterRef("pk")
    tally = Tally.objects.filter(queue=here, user=user).values("submitted")
    held = Assignment.objects.filter(LEASED, queue=here, user=user)
    named = QueuePerson.objects.filter(queue=here, judges=True)
    return project.queues.annotate(
        mine=Coalesce(Subquery(tally), 0),
        held=Exists(held),
        invited=~Exists(named) | Exists(named.filter(user=user)),
    )


def people_in(queue: Queue) -> list[Person]:
    """Everybody who is named or was given something, the busiest first; from kept figures."""
    tallies = {tally.user_id: tally for tally in queue.tallies.all()}
    named = {person.user_id: person for person in queue.people.all()}
    running = dict(
        queue.assignments.filter(LEASED).order_by().values_list("user").annotate(n=Count("pk"))
    )
    times = dict(
        queue.figures.filter(measure=Measure.SECONDS, window=Window.ALL, person__isnull=False)
        .values_list("person", "value")
    )  # fmt: skip
    users = User.objects.in_bulk(tallies.keys() | named.keys() | running.keys())
    people = []
    for pk, user in users.items():
        tally = tallies.get(pk) or Tally()
        done = (tally.submitted, tally.skipped, running.get(pk, 0), tally.last_at)
        people.append(Person(user, *done, times.get(pk), named.get(pk)))
    return sorted(people, key=lambda person: (-person.submitted, person.user.username))


def standing(queue: Queue, user: User) -> dict[str, int]:
    """For the page that says "done for you": why there is nothing left for this person."""
    mine = Assignment.objects.filter(queue=queue, user=user)
    others = Assignment.objects.filter(queue=queue).exclude(user=user)
    tally = queue.tallies.filter(user=user).first() or Tally()
    still_free = mine.filter(SKIPPED, item__taken__lt=F("item__overlap"))
    queue.refresh_from_db(fields=["complete"])
    return {
        "submitted": tally.submitted,
        "skipped": tally.skipped,
        "invited": may_judge(queue, user),
        "left": offered(queue, user).count(),
        "held_by_others": others.filter(LEASED).count(),
        "skipped_and_free": still_free.count(),
        "complete": queue.complete,
    }
