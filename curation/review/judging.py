"""Rank, accept, reject, submit: each one transaction, each a new fact.

A changed mind is a new row; the old one is superseded. Silence is never a judgement: what was
not placed has no place, and a group that nobody touched cannot be submitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from curation.models import (
    Asked,
    Assignment,
    AssignmentStatus,
    Decision,
    LanguageModel,
    Place,
    Question,
    Ranking,
    Rationale,
    Review,
    StepLabel,
    StepQuality,
    User,
)
from curation.queues.counters import count_submitted, note_said
from curation.queues.leases import HOLDING, free_slot, settle
from curation.text.stepping import StepsSaid, cut
from curation.wording import counted

Ranks = Mapping[int, int]
Steps = Mapping[int, StepsSaid]
LONGEST = 24 * 3600.0
MOST_REASONS = 20


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
    _lock(question.pk)
    ranking, items = _rank(question, judge, ranks, shown_order, seconds, assignment, note)
    note_said([question.pk], items)
    return ranking


def _rank(
    question: Question,
    judge: User | LanguageModel,
    ranks: Ranks,
    shown_order: Sequence[int],
    seconds: float | None,
    assignment: Assignment | None,
    note: str,
) -> tuple[Ranking, set[int]]:
    """Ranks that are known to be sound, of a question whose row is locked; and the queue items
    whose ranking they supersede."""
    who = {"judge_user": judge} if isinstance(judge, User) else {"judge_model": judge}
    items = _supersede(Ranking.objects.live().filter(question=question, **who))
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
    return ranking, items


def _supersede(live: QuerySet[Any]) -> set[int]:
    """Mark the judgements as superseded; returns the queue items that they were said of."""
    found = list(live.values_list("pk", "assignment__item"))
    if found:
        rows = live.model.objects.filter(pk__in=[pk for pk, _ in found])
        rows.update(superseded_at=timezone.now())
    return {item for _, item in found if item is not None}


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
    items = _supersede(rationale.reviews.live().filter(reviewer=reviewer))
    note_said([rationale.question_id], items)
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
    steps: Steps | None = None,
    as_shown: bool = False,
    seconds: float | None = None,
    note: str = "",
    seen: str | None = None,
) -> Result:
    """Record all that a person said about the item they hold, in one transaction.

    `steps`: what is said of each rationale's steps, where the queue asks for it.
    `as_shown`: "the order I was shown is right"; it stands only where no rank is given.
    `seen`: the `edition` of the assignment that the page was made from. Where the assignment has
    been submitted since, nothing is written and the answer is ALREADY or DIFFERS; with the
    current edition, the earlier judgement is superseded.
    A late submission is kept whatever happened: it takes its slot again or, if others have it,
    stands beside theirs (EXTRA). Raises ValidationError with a sentence for the person.
    """
    held = (
        Assignment.objects.select_for_update(of=("self",))
        .select_related("question", "user", "queue")
        .get(pk=assignment.pk)
    )
    verdicts = {pk: _checked(Verdict.of(said)) for pk, said in decisions.items()}
    if as_shown and not ranks:
        ranks = {pk: place for place, pk in enumerate(held.shown_order, 1)}
    steps = {pk: told for pk, told in (steps or {}).items() if told != StepsSaid()}
    _check_said(held, ranks, verdicts, steps)
    labels = _labelled(held, steps)
    before = held.status
    if before == AssignmentStatus.SUBMITTED and seen != edition(held):
        return _came_twice(held, ranks, verdicts, steps, labels)
    _lock(held.question_id)
    items = _record_ranking(held, ranks, _bounded(seconds), note)
    items |= _record_reviews(held, verdicts)
    _record_labels(held, labels)
    result = _close(held, before)
    if elsewhere := items - {held.item_id}:  # the same question in another queue
        note_said([held.question_id], elsewhere)
    return result


def edition(assignment: Assignment) -> str:
    """Changes with every submission; empty before the first."""
    if assignment.status != AssignmentStatus.SUBMITTED or assignment.finished_at is None:
        return ""
    return assignment.finished_at.isoformat()


def said(assignment: Assignment) -> tuple[dict[int, int], dict[int, Verdict]]:
    """What the assignment's live ranking and reviews say: (ranks, verdicts)."""
    if assignment.finished_at is None:  # never submitted
        return {}, {}
    places = Place.objects.filter(
        ranking__assignment=assignment, ranking__superseded_at=None
    ).values_list("rationale_id", "rank")
    reviews = Review.objects.live().filter(assignment=assignment)
    return dict(places), {
        r.rationale_id: Verdict(r.decision, tuple(r.reasons), r.note) for r in reviews
    }


def said_of_steps(assignment: Assignment) -> dict[int, StepsSaid]:
    """What the assignment's live step labels say, rationale by rationale."""
    found = _live_labels(assignment)
    thoughts = _thoughts(found)
    return {pk: StepsSaid.gathered(labels, len(cut(thoughts[pk]))) for pk, labels in found.items()}


def _live_labels(assignment: Assignment) -> dict[int, dict[int, str]]:
    if assignment.finished_at is None:
        return {}
    found: dict[int, dict[int, str]] = {}
    rows = StepLabel.objects.live().filter(assignment=assignment)
    for pk, step, label in rows.values_list("rationale", "step", "label"):
        found.setdefault(pk, {})[step] = label
    return found


def _thoughts(pks: Iterable[int]) -> dict[int, str]:
    return dict(Rationale.objects.filter(pk__in=pks).values_list("pk", "thought"))


def _lock(question_id: int) -> None:
    """The question's row is the lock: two windows of one judge do not collide."""
    Question.objects.select_for_update(no_key=True).values_list("pk").get(pk=question_id)


def _check_ranks(question: Question, ranks: Ranks) -> None:
    if not ranks:
        raise ValidationError("A ranking places at least one rationale.")
    _check_values(ranks)
    known = question.rationales.filter(pk__in=ranks).count()
    if known != len(ranks):
        placed = "of the rationales placed"
        do = counted(len(ranks) - known, f"{placed} does", f"{placed} do")
        raise ValidationError(f"{do} not belong to this question.")


def _check_values(ranks: Ranks) -> None:
    if ranks and (min(ranks.values()) < 1 or max(ranks.values()) > 1000):
        raise ValidationError("A rank is a whole number from 1 (the best) up to 1000.")


def _checked(verdict: Verdict) -> Verdict:
    if verdict.decision not in Decision.values:
        raise ValidationError(f"A review says accept or reject, not “{verdict.decision}”.")
    reasons = tuple(reason[:60] for reason in verdict.reasons[:MOST_REASONS])
    return replace(verdict, reasons=reasons, note=verdict.note[:5000])


def _check_said(
    held: Assignment, ranks: Ranks, verdicts: Mapping[int, Verdict], steps: Steps
) -> None:
    if steps and Asked.STEPS not in held.queue.asked:
        raise ValidationError("This queue does not ask for labels of steps.")
    if not ranks and not verdicts and not steps:
        raise ValidationError(
            "Nothing is said about this group yet. Place its rationales, press c if the order "
            "shown is right, accept or reject one, or skip it with a reason."
        )
    _check_values(ranks)
    strange = {*ranks, *verdicts, *steps} - set(held.shown_order)
    if strange:
        were = counted(len(strange), "of these rationales was", "of these rationales were")
        raise ValidationError(f"{were} not shown in this group.")
    if len(ranks) == 1 and len(held.shown_order) > 1:
        raise ValidationError(
            "Only one rationale is placed, which compares it with nothing. Place another one, "
            "or take that place back."
        )


def _labelled(held: Assignment, steps: Steps) -> list[StepLabel]:
    """The labels as rows, not saved. Raises ValidationError for a step that there is not."""
    thoughts, rows = _thoughts(steps), []
    for pk, told in steps.items():
        found = cut(thoughts[pk])
        labels = told.spread(len(found))
        _check_labels(labels, len(found), held.shown_order.index(pk) + 1)
        rows += [
            StepLabel(rationale_id=pk, step=s.number, start=s.start, end=s.end, label=label)
            for s in found
            if (label := labels.get(s.number))
        ]
    return rows


def _check_labels(labels: Mapping[int, str], count: int, card: int) -> None:
    last = max(labels, default=0)
    if last > count:
        raise ValidationError(
            f"Rationale {card} has {counted(count, 'step')}; there is no step {last} to label."
        )
    for label in set(labels.values()) - set(StepQuality.values):
        raise ValidationError(f"A step is good, neutral or bad, not “{label[:20]}”.")


def _by_rationale(labels: Iterable[StepLabel]) -> dict[int, dict[int, str]]:
    found: dict[int, dict[int, str]] = {}
    for row in labels:
        found.setdefault(row.rationale_id, {})[row.step] = row.label
    return found


def _came_twice(
    held: Assignment,
    ranks: Ranks,
    verdicts: Mapping[int, Verdict],
    steps: Steps,
    labels: list[StepLabel],
) -> Result:
    same = (standard_ranks(ranks), dict(verdicts)) == said(held)
    if same and _by_rationale(labels) == _live_labels(held):
        return Result.ALREADY
    held.draft = draft_of(ranks, verdicts, steps)
    held.save(update_fields=["draft"])
    return Result.DIFFERS


def draft_of(
    ranks: Ranks, verdicts: Mapping[int, Verdict], steps: Steps | None = None
) -> dict[str, object]:
    """The shape of `Assignment.draft` (JSON keys are texts)."""
    return {
        "ranks": {str(pk): rank for pk, rank in ranks.items()},
        "decisions": {
            str(pk): {"decision": v.decision, "reasons": list(v.reasons), "note": v.note}
            for pk, v in verdicts.items()
        },
        "steps": {
            str(pk): {
                "first_wrong": told.first_wrong,
                "labels": {str(step): label for step, label in told.labels.items()},
            }
            for pk, told in (steps or {}).items()
        },
    }


def _record_ranking(held: Assignment, ranks: Ranks, seconds: float | None, note: str) -> set[int]:
    """A new live ranking, unless it says what the old one said; none at all takes it back.
    Returns the queue items whose ranking is superseded."""
    before, _ = said(held)
    if ranks and standard_ranks(ranks) != before:
        return _rank(held.question, held.user, ranks, held.shown_order, seconds, held, note)[1]
    return set() if ranks else _supersede(held.rankings.live())


def _record_reviews(held: Assignment, verdicts: Mapping[int, Verdict]) -> set[int]:
    """New live reviews where something changed; verdicts of this assignment that are gone are
    taken back. What the person said elsewhere about the others stands: silence says nothing.
    Returns the queue items whose reviews are superseded."""
    _, before = said(held)
    changed = {pk: verdict for pk, verdict in verdicts.items() if before.get(pk) != verdict}
    live = Review.objects.live().filter(reviewer=held.user)
    items = _supersede(live.filter(rationale__in=changed))
    if before:
        items |= _supersede(live.filter(assignment=held).exclude(rationale__in=verdicts))
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
    return items


def _record_labels(held: Assignment, labels: list[StepLabel]) -> None:
    """New live labels where something changed; this assignment's that are gone are taken back."""
    if Asked.STEPS not in held.queue.asked:
        return
    before, after = _live_labels(held), _by_rationale(labels)
    changed = [row for row in labels if before.get(row.rationale_id, {}).get(row.step) != row.label]
    live, now = StepLabel.objects.live().filter(by=held.user), timezone.now()
    for pk, steps in _by_rationale(changed).items():
        live.filter(rationale=pk, step__in=steps).update(superseded_at=now)
    for pk, steps in before.items():
        gone = set(steps) - set(after.get(pk, {}))
        live.filter(rationale=pk, step__in=gone, assignment=held).update(superseded_at=now)
    for row in changed:
        row.by, row.assignment = held.user, held
    StepLabel.objects.bulk_create(changed)


def _close(held: Assignment, before: str) -> Result:
    """Mark the assignment submitted; the queue's counters follow."""
    in_time = before in HOLDING
    has_slot = in_time or free_slot(held.item_id)
    held.status, held.finished_at = AssignmentStatus.SUBMITTED, timezone.now()
    held.draft, held.skip_reason = {}, ""
    held.save(update_fields=["status", "finished_at", "draft", "skip_reason"])
    if not in_time:
        settle([held.item_id])
    count_submitted(held, before)
    if before == AssignmentStatus.SUBMITTED:
        return Result.CHANGED
    return Result.SUBMITTED if has_slot else Result.EXTRA


def _bounded(seconds: float | None) -> float | None:
    return None if seconds is None else min(max(0.0, seconds), LONGEST)
