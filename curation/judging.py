"""Rank, accept, reject, submit: each one transaction, each a new fact.

A changed mind is a new row; the old one is superseded. Silence is never a judgement: what was
not placed has no place, and a group that nobody touched cannot be submitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from curation.leases import free_slot, settle
from curation.models import (
    Assignment,
    AssignmentStatus,
    Decision,
    LanguageModel,
    Place,
    Question,
    Queue,
    Ranking,
    Rationale,
    Review,
    User,
)

Ranks = Mapping[int, int]
LONGEST = 24 * 3600.0
REASONS = {
    "wrong_answer": "Wrong answer",
    "wrong_step": "A step is wrong",
    "missing_step": "A step is missing",
    "misread": "Misreads the question",
    "unclear": "Hard to follow",
    "other": "Something else",
}


@dataclass(frozen=True)
class Verdict:
    """Accept or reject, and why."""

    decision: str
    reasons: tuple[str, ...] = ()
    note: str = ""

    @classmethod
    def of(cls, said: Verdict | str) -> Verdict:
        return said if isinstance(said, Verdict) else cls(said)


class Result(StrEnum):
    """What became of a submission."""

    SUBMITTED = "submitted"
    CHANGED = "changed"
    ALREADY = "already"  # the same thing came twice: a double click, or a second window
    DIFFERS = "differs"  # a second window said something else: kept as a draft
    EXTRA = "extra"  # the lease had run out and others took the slot: kept beside theirs


def standard_ranks(ranks: Ranks) -> dict[int, int]:
    """Competition ranks in the same order: {a: 2, b: 7, c: 7, d: 9} → {a: 1, b: 2, c: 2, d: 4}."""
    values = sorted(ranks.values())
    return {pk: values.index(rank) + 1 for pk, rank in ranks.items()}


@transaction.atomic
def rank(
    question: Question,
    judge: User | LanguageModel,
    ranks: Ranks,
    shown_order: Sequence[int] = (),
    seconds: float | None = None,
    assignment: Assignment | None = None,
    note: str = "",
) -> Ranking:
    """Record the order in which `judge` puts rationales (id → rank, 1 is best, equal = tied).

    Supersedes the judge's live ranking of the question. Raises ValidationError for a rank below
    one, for a rationale of another question, and where nothing is placed.
    """
    _check_ranks(question, ranks)
    who = {"judge_user": judge} if isinstance(judge, User) else {"judge_model": judge}
    _lock(question.pk)
    Ranking.objects.live().filter(question=question, **who).update(superseded_at=timezone.now())
    ranking = Ranking.objects.create(
        question=question,
        assignment=assignment,
        shown_order=list(shown_order),
        seconds_spent=seconds,
        note=note,
        **who,
    )
    Place.objects.bulk_create(
        Place(ranking=ranking, rationale_id=pk, rank=rank)
        for pk, rank in sorted(standard_ranks(ranks).items(), key=lambda pair: pair[1])
    )
    return ranking


@transaction.atomic
def review(
    rationale: Rationale,
    reviewer: User,
    decision: str,
    reasons: Iterable[str] = (),
    note: str = "",
    assignment: Assignment | None = None,
) -> Review:
    """Record that `reviewer` accepts or rejects the rationale, instead of what they said before."""
    verdict = _checked(Verdict(decision, tuple(reasons), note))
    _lock(rationale.question_id)
    rationale.reviews.live().filter(reviewer=reviewer).update(superseded_at=timezone.now())
    return Review.objects.create(
        rationale=rationale,
        reviewer=reviewer,
        assignment=assignment,
        decision=verdict.decision,
        reasons=list(verdict.reasons),
        note=verdict.note,
    )


@transaction.atomic
def submit(
    assignment: Assignment,
    ranks: Ranks,
    decisions: Mapping[int, Verdict | str],
    *,
    as_shown: bool = False,
    seconds: float | None = None,
    note: str = "",
    seen: str | None = None,
) -> Result:
    """Record all that a person said about the item they hold, in one transaction.

    `as_shown`: "the order I was shown is right"; it stands only where no rank is given.
    `seen`: the `edition` of the assignment that the page was made from. Where the assignment has
    been submitted since, nothing is written and the answer is ALREADY or DIFFERS; with the
    current edition, the earlier judgement is superseded.
    A late submission is kept whatever happened: it takes its slot again or, if others have it,
    stands beside theirs (EXTRA). Raises ValidationError with a sentence for the person.
    """
    held = (
        Assignment.objects.select_for_update()
        .select_related("question", "user")
        .get(pk=assignment.pk)
    )
    verdicts = {pk: _checked(Verdict.of(said)) for pk, said in decisions.items()}
    if as_shown and not ranks:
        ranks = {pk: place for place, pk in enumerate(held.shown_order, 1)}
    _check_said(held, ranks, verdicts)
    before = held.status
    if before == AssignmentStatus.SUBMITTED and seen != edition(held):
        return _came_twice(held, ranks, verdicts)
    _lock(held.question_id)
    _record_ranking(held, ranks, _bounded(seconds), note)
    _record_reviews(held, verdicts)
    return _close(held, before)


def edition(assignment: Assignment) -> str:
    """Changes with every submission; empty before the first."""
    if assignment.status != AssignmentStatus.SUBMITTED or assignment.finished_at is None:
        return ""
    return assignment.finished_at.isoformat()


def said(assignment: Assignment) -> tuple[dict[int, int], dict[int, Verdict]]:
    """What the assignment's live ranking and reviews say: (ranks, verdicts)."""
    places = Place.objects.filter(
        ranking__assignment=assignment, ranking__superseded_at=None
    ).values_list("rationale_id", "rank")
    reviews = Review.objects.live().filter(assignment=assignment)
    return dict(places), {
        r.rationale_id: Verdict(r.decision, tuple(r.reasons), r.note) for r in reviews
    }


def _lock(question_id: int) -> None:
    """The question's row is the lock: two windows of one judge do not collide."""
    Question.objects.select_for_update(no_key=True).get(pk=question_id)


def _check_ranks(question: Question, ranks: Ranks) -> None:
    if not ranks:
        raise ValidationError("A ranking places at least one rationale.")
    if min(ranks.values()) < 1 or max(ranks.values()) > 1000:
        raise ValidationError("A rank is a whole number from 1 (the best) up to 1000.")
    known = question.rationales.filter(pk__in=ranks).count()
    if known != len(ranks):
        raise ValidationError(
            f"{len(ranks) - known} of the rationales placed do not belong to this question."
        )


def _checked(verdict: Verdict) -> Verdict:
    if verdict.decision not in Decision.values:
        raise ValidationError(f"A review says accept or reject, not “{verdict.decision}”.")
    return replace(
        verdict, reasons=tuple(reason[:60] for reason in verdict.reasons), note=verdict.note[:5000]
    )


def _check_said(held: Assignment, ranks: Ranks, verdicts: Mapping[int, Verdict]) -> None:
    if not ranks and not verdicts:
        raise ValidationError(
            "Nothing is said about this group yet. Place its rationales, press c if the order "
            "shown is right, accept or reject one, or skip it with a reason."
        )
    strange = {*ranks, *verdicts} - set(held.shown_order)
    if strange:
        raise ValidationError(f"{len(strange)} of these rationales were not shown in this group.")
    if len(ranks) == 1 and len(held.shown_order) > 1:
        raise ValidationError(
            "Only one rationale is placed, which compares it with nothing. Place another one, "
            "or take that place back."
        )


def _came_twice(held: Assignment, ranks: Ranks, verdicts: Mapping[int, Verdict]) -> Result:
    if (standard_ranks(ranks), dict(verdicts)) == said(held):
        return Result.ALREADY
    held.draft = draft_of(ranks, verdicts)
    held.save(update_fields=["draft"])
    return Result.DIFFERS


def draft_of(ranks: Ranks, verdicts: Mapping[int, Verdict]) -> dict[str, object]:
    """The shape of `Assignment.draft` (JSON keys are texts)."""
    return {
        "ranks": {str(pk): rank for pk, rank in ranks.items()},
        "decisions": {
            str(pk): {"decision": v.decision, "reasons": list(v.reasons), "note": v.note}
            for pk, v in verdicts.items()
        },
    }


def _record_ranking(held: Assignment, ranks: Ranks, seconds: float | None, note: str) -> None:
    """A new live ranking, unless it says what the old one said; none at all takes it back."""
    before, _ = said(held)
    if ranks and standard_ranks(ranks) != before:
        rank(held.question, held.user, ranks, held.shown_order, seconds, held, note)
    elif not ranks:
        held.rankings.live().update(superseded_at=timezone.now())


def _record_reviews(held: Assignment, verdicts: Mapping[int, Verdict]) -> None:
    """New live reviews where something changed; verdicts of this assignment that are gone are
    taken back. What the person said elsewhere about the others stands: silence says nothing."""
    _, before = said(held)
    changed = {pk: verdict for pk, verdict in verdicts.items() if before.get(pk) != verdict}
    live = Review.objects.live().filter(reviewer=held.user)
    now = timezone.now()
    live.filter(rationale__in=changed).update(superseded_at=now)
    live.filter(assignment=held).exclude(rationale__in=verdicts).update(superseded_at=now)
    Review.objects.bulk_create(
        Review(
            rationale_id=pk,
            reviewer=held.user,
            assignment=held,
            decision=verdict.decision,
            reasons=list(verdict.reasons),
            note=verdict.note,
        )
        for pk, verdict in changed.items()
    )


def _close(held: Assignment, before: str) -> Result:
    """Mark the assignment submitted; the queue's counters follow."""
    in_time = before in {AssignmentStatus.LEASED, AssignmentStatus.SUBMITTED}
    has_slot = in_time or free_slot(held.item_id)
    held.status, held.finished_at = AssignmentStatus.SUBMITTED, timezone.now()
    held.draft, held.skip_reason = {}, ""
    held.save(update_fields=["status", "finished_at", "draft", "skip_reason"])
    if before == AssignmentStatus.SUBMITTED:
        return Result.CHANGED
    if not in_time:
        settle([held.item_id])
    counted = {"submitted": F("submitted") + 1}
    if before == AssignmentStatus.SKIPPED:
        counted["skipped"] = F("skipped") - 1
    Queue.objects.filter(pk=held.queue_id).update(**counted)
    return Result.SUBMITTED if has_slot else Result.EXTRA


def _bounded(seconds: float | None) -> float | None:
    return None if seconds is None else min(max(0.0, seconds), LONGEST)
