"""One deed on many rows: into a queue, accept, reject, tag, untag.

A few rows are dealt with at once; many become a `Job` that goes through them by key and may be cut
off and begun again, for every deed leaves alone what it finds done. “All that match” means what
matches when the deed comes to it, up to the newest row there was when it was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import pghistory
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Max, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from curation import jobs
from curation.browsing import question_search, rationale_search
from curation.browsing.question_search import Search
from curation.browsing.rationale_search import RationaleSearch
from curation.models import (
    Job,
    JobKind,
    JobStatus,
    Project,
    Question,
    QuestionTag,
    Queue,
    QueueItem,
    RationaleTag,
    Review,
    Tag,
    User,
)
from curation.queues import counters
from curation.wording import counted

AT_ONCE = 200
BATCH = 500
QUESTIONS, RATIONALES = "questions", "rationales"
DEEDS = {
    "accept": "Accept",
    "reject": "Reject",
    "tag": "Tag",
    "untag": "Take the tag off",
    "queue": "Put into the queue",
}
JUDGING = {"accept", "reject"}


@dataclass(frozen=True)
class Deed:
    """What is done to each row; `tag` is a name, `queue` a key of the project's."""

    what: str
    tag: str = ""
    queue: int = 0
    reasons: tuple[str, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        if self.what in {"tag", "untag"}:
            return f"{DEEDS[self.what]} “{self.tag}”"
        return DEEDS[self.what]


@dataclass(frozen=True)
class Errand:
    """A deed, and on which rows: those of `keys`, or all that `search` finds up to key `upto`."""

    things: str
    deed: Deed
    keys: tuple[int, ...] = ()
    search: dict[str, Any] = field(default_factory=dict)
    upto: int | None = None

    @classmethod
    def stored(cls, params: dict[str, Any]) -> Errand:
        """From the params of a job."""
        deed = Deed(**{**params["deed"], "reasons": tuple(params["deed"]["reasons"])})
        return cls(params["things"], deed, tuple(params["keys"]), params["search"], params["upto"])

    def params(self) -> dict[str, Any]:
        return {**asdict(self), "title": f"{self.deed}: {self.things}"}

    def rows(self, project: Project) -> QuerySet[Any]:
        """The rows as they match now."""
        found: QuerySet[Any]
        if self.things == QUESTIONS:
            found = question_search.matching(project, Search(**self.search))
        else:
            found = rationale_search.matching(project, RationaleSearch(**self.search))
        if self.keys:
            return found.filter(pk__in=self.keys)
        return found if self.upto is None else found.filter(pk__lte=self.upto)

    def batches(self, project: Project) -> Iterator[list[int]]:
        """The keys, a batch at a time; each batch begins after the last, so none comes twice."""
        last = 0
        while True:
            rest = self.rows(project).filter(pk__gt=last).order_by("pk")
            keys = list(rest.values_list("pk", flat=True)[:BATCH])
            if not keys:
                return
            yield keys
            last = keys[-1]


@dataclass
class Outcome:
    """How many rows were dealt with, and how many were so already."""

    changed: int = 0
    unchanged: int = 0

    def add(self, other: Outcome) -> None:
        self.changed += other.changed
        self.unchanged += other.unchanged

    def __str__(self) -> str:
        told = f"{self.changed:,} changed"
        same = counted(self.unchanged, "was so already", "were so already")
        return f"{told}, {same}" if self.unchanged else told


def send(project: Project, errand: Errand, by: User) -> Outcome | Job:
    """Do it now, or start a job where there is too much. Raises ValidationError in words."""
    check(project, errand)
    rows = errand.rows(project).order_by()
    if rows[: AT_ONCE + 1].count() > AT_ONCE:
        upto = errand.rows(project).aggregate(last=Max("pk"))["last"]
        bounded = Errand(errand.things, errand.deed, errand.keys, errand.search, upto)
        with transaction.atomic():
            return jobs.start(project, JobKind.BULK, bounded.params(), by)
    outcome = Outcome()
    for keys in errand.batches(project):
        outcome.add(act(project, errand.things, errand.deed, keys, by))
    return outcome


def check(project: Project, errand: Errand) -> None:
    """Raise ValidationError for what could not be done to any row."""
    deed = errand.deed
    if deed.what not in DEEDS or (deed.what in JUDGING and errand.things == QUESTIONS):
        raise ValidationError("Choose what to do with the rows.")
    if deed.what in {"tag", "untag"} and not deed.tag:
        raise ValidationError("Give the tag a name.")
    if deed.what == "queue" and not project.queues.filter(pk=deed.queue, is_open=True).exists():
        raise ValidationError("Choose an open queue; a new one is made under Review.")


def perform(job: Job) -> None:
    """Do a deed that the caller has claimed, to its end; its history names who asked for it."""
    errand = Errand.stored(job.params)
    with pghistory.context(user=job.created_by_id, url=job.get_absolute_url()):
        try:
            _perform(job, errand)
        except jobs.TakenAway:
            return
        except Exception as error:
            jobs.finish(job, JobStatus.FAILED, error=f"{type(error).__name__}: {error}"[:500])
            raise


def _perform(job: Job, errand: Errand) -> None:
    by = job.created_by
    if by is None or not by.has_perm("curation.research", job.project):
        jobs.finish(job, JobStatus.FAILED, error="Who asked for it is no researcher now.")
        return
    outcome, done, total = Outcome(), 0, errand.rows(job.project).count()
    for keys in errand.batches(job.project):
        outcome.add(act(job.project, errand.things, errand.deed, keys, by))
        done += len(keys)
        jobs.advance(job, done, max(total, done))
    job.report = {"changed": outcome.changed, "unchanged": outcome.unchanged}
    jobs.finish(job, JobStatus.DONE)


def act(project: Project, things: str, deed: Deed, keys: list[int], by: User) -> Outcome:
    """Do it to these rows, in one transaction."""
    with transaction.atomic():
        if deed.what in JUDGING:
            changed = judge(deed, keys, by)
        elif deed.what == "queue":
            return into_queue(project.queues.get(pk=deed.queue), things, keys)
        else:
            on = QuestionTag if things == QUESTIONS else RationaleTag
            changed = (tag if deed.what == "tag" else untag)(project, on, deed.tag, keys, by)
    return Outcome(changed, len(keys) - changed)


def judge(deed: Deed, keys: list[int], by: User) -> int:
    """Accept or reject as this person; what they said before of the same row is superseded.

    The questions are the locks, as in `judging.review`, taken in the order of their keys.
    """
    questions = Question.objects.filter(rationales__in=keys).order_by("pk").values("pk")
    asked = Question.objects.select_for_update(no_key=True).filter(pk__in=questions).order_by("pk")
    locked = list(asked.values_list("pk", flat=True))
    live = Review.objects.live().filter(reviewer=by, rationale__in=keys)
    reasons, note = [reason[:60] for reason in deed.reasons], deed.note[:5000]
    said = live.filter(decision=deed.what, reasons=reasons, note=note)
    already = set(said.values_list("rationale", flat=True))
    new = [pk for pk in keys if pk not in already]
    replaced = live.filter(rationale__in=new)
    items = set(replaced.exclude(assignment=None).values_list("assignment__item", flat=True))
    replaced.update(superseded_at=timezone.now())
    Review.objects.bulk_create(
        Review(rationale_id=pk, reviewer=by, decision=deed.what, reasons=reasons, note=note)
        for pk in new
    )
    if new:
        counters.note_said(locked, items)
    return len(new)


def tag(project: Project, on: type[Any], name: str, keys: list[int], by: User) -> int:
    """Put the tag on the rows that lack it; returns on how many."""
    found = named(project, name) or Tag.objects.create(project=project, name=name)
    row = "question_id" if on is QuestionTag else "rationale_id"
    has = set(on.objects.filter(tag=found, **{f"{row}__in": keys}).values_list(row, flat=True))
    new = [on(tag=found, tagged_by=by, **{row: pk}) for pk in keys if pk not in has]
    on.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


def untag(project: Project, on: type[Any], name: str, keys: list[int], by: User) -> int:
    """Take the tag off the rows that have it; returns off how many."""
    row = "question_id" if on is QuestionTag else "rationale_id"
    having = on.objects.filter(tag=named(project, name), **{f"{row}__in": keys})
    count, _ = having.delete()
    return count


def named(project: Project, name: str) -> Tag | None:
    return Tag.objects.filter(project=project, name__iexact=name).first()


def into_queue(queue: Queue, things: str, keys: list[int]) -> Outcome:
    """Put the questions, or those of the rationales, at the queue's end.

    What the queue holds already is left alone. The queue's row is the lock, as in `queues.fill`.
    """
    Queue.objects.select_for_update().get(pk=queue.pk)
    wanted = Question.objects.filter(pk__in=keys)
    if things == RATIONALES:
        wanted = Question.objects.filter(rationales__in=keys).distinct()
    asked = list(wanted.order_by("pk").values_list("pk", flat=True))
    held = set(queue.items.filter(question__in=asked).values_list("question", flat=True))
    last = queue.items.aggregate(last=Coalesce(Max("position"), 0.0))["last"]
    new = [pk for pk in asked if pk not in held]
    QueueItem.objects.bulk_create(
        QueueItem(queue=queue, question_id=pk, position=last + place, overlap=queue.overlap)
        for place, pk in enumerate(new, 1)
    )
    Queue.objects.filter(pk=queue.pk).update(items_total=F("items_total") + len(new))
    return Outcome(len(new), len(asked) - len(new))
