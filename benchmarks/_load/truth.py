"""What the database says afterwards: nothing given out twice, nothing lost, nothing doubled."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import Count, F

from benchmarks._load.people import Annotator
from curation.models import Assignment, AssignmentStatus, Place, Queue, Ranking
from curation.queues.counters import recount
from curation.queues.leases import HOLDING


def verdict(queue: Queue, annotators: Iterable[Annotator]) -> dict[str, Any]:
    """Counts that ought to be 0, and how much they were counted over."""
    annotators = list(annotators)
    sent = [one for person in annotators for one in person.submitted]
    known = [one for one in sent if one.acknowledged]
    return {
        "submissions": len(known),
        "submissions_sent_again": sum(one.tries > 1 for one in sent),
        "double_claims": double_claims(queue, annotators),
        "lost_submissions": lost(known),
        "doubled_submissions": doubled(queue),
        "unanswered_submissions": len(sent) - len(known),
        "refused": sum(len(person.refused) for person in annotators),
        "kept_figures_that_drifted": len(recount(queue, mend=False)),
    }


def double_claims(queue: Queue, annotators: Iterable[Annotator]) -> int:
    """Items that more people hold or were shown than the queue asks for."""
    shown: dict[int, set[int]] = defaultdict(set)
    twice = 0
    for number, person in enumerate(annotators):
        for assignment in person.served:
            shown[assignment].add(number)
            twice += len(shown[assignment]) > 1
    items = dict(Assignment.objects.filter(pk__in=shown).values_list("pk", "item"))
    people = Counter(items[pk] for pk in shown if pk in items)
    held = queue.items.filter(assignments__status__in=HOLDING).annotate(n=Count("assignments"))
    over = set(held.filter(n__gt=F("overlap")).values_list("pk", flat=True))
    return twice + len(over | {pk for pk, count in people.items() if count > queue.overlap})


def lost(known: list[Any]) -> int:
    """Submissions that were acknowledged and are not in the record as they were sent."""
    stands = set(
        Assignment.objects.filter(
            pk__in=[one.assignment for one in known], status=AssignmentStatus.SUBMITTED
        ).values_list("pk", flat=True)
    )
    said: dict[int, dict[int, int]] = defaultdict(dict)
    places = Place.objects.filter(
        ranking__assignment__in=stands, ranking__superseded_at=None
    ).values_list("ranking__assignment", "rationale", "rank")
    for assignment, rationale, rank in places:
        said[assignment][rationale] = rank
    return sum(one.assignment not in stands or said[one.assignment] != one.ranks for one in known)


def doubled(queue: Queue) -> int:
    """Assignments with more than one ranking: a submission that was counted twice."""
    rankings = Ranking.objects.filter(assignment__queue=queue).order_by().values("assignment")
    return rankings.annotate(n=Count("pk")).filter(n__gt=1).count()
