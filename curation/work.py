"""Work in the background as other pages tell of it: what a project did lately, which piece of work
wrote a row, when anything last happened.

Curation knows its own jobs. Other apps add theirs with `register`, so that curation knows nothing
of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Max, OuterRef, Q, Subquery
from django.db.models.expressions import Combinable
from django.db.models.functions import Greatest

from curation.models import Assignment, Job, Project, Question, User

LATEST = 6


@dataclass(frozen=True)
class Work:
    """A job or a run: `status` is one of queued, running, done, failed, cancelled."""

    title: str
    url: str
    status: str
    error: str
    batch: UUID
    at: datetime
    by: User | None

    @property
    def chip(self) -> str:
        return {"done": "ok", "failed": "bad", "running": "info"}.get(self.status, "warn")


# The work of a project that a condition on `batch` or `status` lets through, the newest first.
Source = Callable[[Project, Q], Iterator[Work]]
_sources: list[Source] = []
_moments: list[Combinable] = []


def register(source: Source, moment: Combinable) -> None:
    """Add a source of work, and an expression on projects: when it last did anything there."""
    _sources.append(source)
    _moments.append(moment)


def latest_work(project: Project) -> list[Work]:
    """The newest pieces of work of every kind."""
    found = [work for source in (jobs, *_sources) for work in source(project, Q())]
    return sorted(found, key=lambda work: work.at, reverse=True)[:LATEST]


def finished_work(project: Project) -> list[Work]:
    """The newest hundred that are done: what may have written rationales."""
    wanted = Q(status="done")
    found = [work for source in (jobs, *_sources) for work in source(project, wanted)]
    return sorted(found, key=lambda work: work.at, reverse=True)[:100]


def work_of(project: Project, batches: Collection[UUID]) -> dict[UUID, Work]:
    """Which piece of work each batch is. A batch of the command line is none."""
    if not batches:
        return {}
    wanted = Q(batch__in=batches)
    return {work.batch: work for source in (jobs, *_sources) for work in source(project, wanted)}


def jobs(project: Project, condition: Q) -> Iterator[Work]:
    """Imports and exports."""
    found = project.jobs.filter(condition).select_related("created_by").defer("report")
    for job in found if condition else found[:LATEST]:
        job.project = project
        yield Work(
            title=job.title,
            url=job.get_absolute_url(),
            status=job.status,
            error=job.error,
            batch=job.batch,
            at=job.created_at,
            by=job.created_by,
        )


def last_activity() -> Combinable:
    """When somebody, or a machine, last did anything in a project; for `annotate`."""
    here = OuterRef("pk")
    asked = Question.objects.filter(project=here).order_by("-pk").values("created_at")[:1]
    worked = Job.objects.filter(project=here).order_by("-pk").values("created_at")[:1]
    judged = (
        Assignment.objects.filter(queue__project=here)
        .order_by()
        .values("queue__project")
        .annotate(last=Max("finished_at"))
        .values("last")
    )
    own = [Subquery(found) for found in (asked, worked, judged)]
    return Greatest("created_at", *own, *_moments)  # PostgreSQL's leaves out what is NULL
