"""Where people disagree, an adjudicator decides; what they said stays in the record.

A group comes up when all who were asked have judged it and Kendall's W of their rankings lies
below the queue's threshold, or some accept what others reject. `settled` is what other parts read:
the decision that holds for a question, in the place of everybody's.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from curation.models import (
    Adjudication,
    Assignment,
    AssignmentStatus,
    Decision,
    Question,
    Queue,
    QueueItem,
    User,
)
from curation.queues.contents import shown_order
from curation.review.judging import standard_ranks
from curation.wording import counted

LONGEST_NOTE = 5000  # characters


def may_adjudicate(queue: Queue, user: User) -> bool:
    """Researchers and owners, and whom the queue names."""
    if user.has_perm("curation.research", queue.project):
        return True
    named = queue.people.filter(user=user, adjudicates=True)
    return user.has_perm("curation.annotate", queue.project) and named.exists()


def disputed(queue: Queue) -> QuerySet[QueueItem]:
    """The items over the queue's threshold, decided or not; the most disputed first."""
    over = Q(pk__in=[])
    if queue.adjudicate_below is not None:
        over |= Q(concordance__lt=queue.adjudicate_below)
    if queue.adjudicate_splits:
        over |= Q(is_split=True)
    judged = queue.items.filter(submitted__gte=2, is_gold=False)
    found = judged.filter(over, submitted__gte=F("overlap"))
    return found.order_by(F("concordance").asc(nulls_last=True), "pk")


def waiting(queue: Queue) -> QuerySet[QueueItem]:
    """The disputed items that nobody has decided."""
    decided = Adjudication.objects.live().filter(question=OuterRef("question"))
    return disputed(queue).filter(~Exists(decided))


def decided(queue: Queue) -> QuerySet[Adjudication]:
    """The decisions that hold for questions of the queue, the latest first."""
    here = Adjudication.objects.live().filter(question__queue_items__queue=queue)
    return here.select_related("question", "by").order_by("-at")


@dataclass(frozen=True)
class Voice:
    """What one person said of a group."""

    user: User
    assignment: int
    ranks: dict[int, int] = field(default_factory=dict)
    decisions: dict[int, str] = field(default_factory=dict)
    note: str = ""


def voices(item: QueueItem) -> list[Voice]:
    """Everybody who judged the item, in the order they were handed it."""
    done = Assignment.objects.filter(item=item, status=AssignmentStatus.SUBMITTED)
    held = done.select_related("user").prefetch_related("rankings__places", "reviews")
    found = []
    for one in held.order_by("pk"):
        live = [ranking for ranking in one.rankings.all() if ranking.superseded_at is None]
        places = [place for ranking in live for place in ranking.places.all()]
        reviews = [review for review in one.reviews.all() if review.superseded_at is None]
        found.append(
            Voice(
                one.user,
                one.pk,
                {place.rationale_id: place.rank for place in places},
                {review.rationale_id: review.decision for review in reviews},
                " ".join(ranking.note for ranking in live if ranking.note),
            )
        )
    return found


def shown(item: QueueItem) -> list[int]:
    """The rationales that those who judged were shown, in an order that favours none of theirs."""
    orders = Assignment.objects.filter(item=item).values_list("shown_order", flat=True)
    every = sorted({pk for order in orders for pk in order})
    every = every or sorted(shown_order(item.queue, item.question_id))
    random.Random(item.pk).shuffle(every)
    return every


@transaction.atomic
def decide(
    item: QueueItem,
    by: User,
    ranks: Mapping[int, int],
    decisions: Mapping[int, str],
    *,
    shown_order: Sequence[int] = (),
    note: str = "",
    seen: int | None = None,
) -> Adjudication:
    """Record what holds for the item's question from now on.

    `seen`: the decision that the page was made from, None if there was none; where another one
    stands by now, nothing is written. Raises ValidationError with a sentence for the person.
    """
    Question.objects.select_for_update(no_key=True).get(pk=item.question_id)
    live = Adjudication.objects.live().filter(question=item.question_id)
    before = live.values_list("pk", flat=True).first()
    if before != seen:
        raise ValidationError(
            "Somebody else decided this group meanwhile. Their decision is shown below the group; "
            "submit again to put yours in its place."
        )
    _check(item, ranks, decisions)
    if len(note) > LONGEST_NOTE:
        raise ValidationError(
            f"The note has {len(note):,} characters, and at most {LONGEST_NOTE:,} are kept. "
            "Shorten it."
        )
    live.update(superseded_at=timezone.now())
    return Adjudication.objects.create(
        question_id=item.question_id,
        queue_id=item.queue_id,
        by=by,
        shown_order=list(shown_order),
        ranks={str(pk): rank for pk, rank in standard_ranks(ranks).items()},
        decisions={str(pk): decision for pk, decision in decisions.items()},
        note=note,
    )


def _check(item: QueueItem, ranks: Mapping[int, int], decisions: Mapping[int, str]) -> None:
    if not ranks and not decisions:
        raise ValidationError(
            "Nothing is decided yet. Place the rationales, accept or reject one, or take over what "
            "somebody said."
        )
    if len(ranks) == 1:
        raise ValidationError("Only one rationale is placed, which compares it with nothing.")
    if any(rank < 1 for rank in ranks.values()):
        raise ValidationError("A rank is a whole number from 1 (the best) up.")
    if not set(decisions.values()) <= set(Decision.values):
        raise ValidationError("A decision says accept or reject.")
    strange = {*ranks, *decisions} - set(shown(item))
    if strange:
        were = counted(len(strange), "of these rationales was", "of these rationales were")
        raise ValidationError(f"{were} not judged in this group.")


@dataclass(frozen=True)
class Settled:
    """A decision as a ranking like any judge's: rationale -> rank, and rationale -> decision."""

    ranks: dict[int, int]
    decisions: dict[int, str]
    kind: str = "adjudication"


def settled(questions: Collection[int]) -> dict[int, Settled]:
    """The decisions that hold for these questions."""
    live = Adjudication.objects.live().filter(question__in=questions)
    return {
        question: Settled(
            {int(pk): rank for pk, rank in ranks.items()},
            {int(pk): decision for pk, decision in decisions.items()},
        )
        for question, ranks, decisions in live.values_list("question", "ranks", "decisions")
    }
