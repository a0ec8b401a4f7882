"""How far a queue is, and who brought it there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Aggregate, Count, F, FloatField, Max, Q, QuerySet

from curation.leases import offered
from curation.models import Assignment, AssignmentStatus, Project, Queue, Ranking, User

SUBMITTED = Q(status=AssignmentStatus.SUBMITTED)
SKIPPED = Q(status=AssignmentStatus.SKIPPED)
LEASED = Q(status=AssignmentStatus.LEASED)


class Median(Aggregate):
    function = "PERCENTILE_CONT"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


@dataclass(frozen=True)
class Person:
    """What one person did in a queue."""

    user: User
    submitted: int
    skipped: int
    running: int
    last: datetime | None
    seconds: float | None


def queues_of(project: Project, user: User) -> QuerySet[Queue]:
    """The project's queues, each with what this user did in it (`mine`, `held`)."""
    mine = Q(assignments__user=user)
    return project.queues.annotate(
        mine=Count("assignments", mine & Q(assignments__status=AssignmentStatus.SUBMITTED)),
        held=Count("assignments", mine & Q(assignments__status=AssignmentStatus.LEASED)),
    )


def people_in(queue: Queue) -> list[Person]:
    """Everybody who was given something, the busiest first."""
    rows = (
        Assignment.objects.filter(queue=queue)
        .order_by()
        .values("user")
        .annotate(
            submitted=Count("pk", SUBMITTED),
            skipped=Count("pk", SKIPPED),
            running=Count("pk", LEASED),
            last=Max("finished_at"),
        )
    )
    times = dict(
        Ranking.objects.live()
        .filter(assignment__queue=queue)
        .order_by()
        .values("judge_user")
        .values_list("judge_user", Median("seconds_spent"))
    )
    users = User.objects.in_bulk([row["user"] for row in rows])
    people = [
        Person(
            user=users[row["user"]],
            submitted=row["submitted"],
            skipped=row["skipped"],
            running=row["running"],
            last=row["last"],
            seconds=times.get(row["user"]),
        )
        for row in rows
    ]
    return sorted(people, key=lambda person: (-person.submitted, person.user.username))


def complete_items(queue: Queue) -> int:
    """The questions that have all the judgements wanted."""
    full = (
        Assignment.objects.filter(SUBMITTED, queue=queue)
        .order_by()
        .values("item")
        .annotate(n=Count("pk"))
        .filter(n__gte=queue.overlap)
    )
    return full.count()


def standing(queue: Queue, user: User) -> dict[str, int]:
    """For the page that says "done for you": why there is nothing left for this person."""
    mine = Assignment.objects.filter(queue=queue, user=user)
    others = Assignment.objects.filter(queue=queue).exclude(user=user)
    counted = mine.aggregate(submitted=Count("pk", SUBMITTED), skipped=Count("pk", SKIPPED))
    still_free = mine.filter(SKIPPED, item__taken__lt=F("item__overlap"))
    return counted | {
        "left": offered(queue, user).count(),
        "held_by_others": others.filter(LEASED).count(),
        "skipped_and_free": still_free.count(),
        "complete": complete_items(queue),
    }
