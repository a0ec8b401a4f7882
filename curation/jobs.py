"""Background jobs: started after commit, claimed once, alive while they beat, found again if lost.

The row is the truth; a Celery message only carries its id, and a message too many is harmless.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from curation.messages import send
from curation.models import Job, JobKind, JobStatus, Project, User

# Names only: whoever does exports lives beyond curation.
TASKS = {
    JobKind.IMPORT: "curation.tasks.run_import",
    JobKind.EXPORT: "training.tasks.run_export",
    JobKind.BULK: "curation.tasks.run_bulk",
}
# A batch takes less than a second, so a job that is silent for this long has lost its worker.
SILENCE = timedelta(seconds=60)
# A message may get lost between the commit and the broker.
UNHEARD = timedelta(seconds=30)
MOST_ATTEMPTS = 5

log = structlog.get_logger(__name__)


class TakenAway(Exception):
    """The job is no longer this process's: cancelled, or given to another worker."""


def start(project: Project, kind: str, params: dict[str, Any], by: User | None) -> Job:
    """A queued job, told to the workers once the transaction has committed."""
    job = Job.objects.create(project=project, kind=kind, params=params, created_by=by)
    tell(job)
    return job


def tell(job: Job) -> None:
    """Send the message after the commit. If the broker is away, `requeue_lost` does it later."""
    pk, task = job.pk, TASKS[JobKind(job.kind)]
    transaction.on_commit(lambda: send(task, pk, queue="cpu"))


def advance(job: Job, done: int, total: int | None) -> None:
    """Say how far the job is. Raises TakenAway if somebody cancelled it or took it over."""
    job.done, job.total = done, total
    if not _mine(job).update(done=done, total=total, heartbeat_at=Now()):
        raise TakenAway


def finish(job: Job, status: str, *, error: str = "") -> bool:
    """Compare-and-swap from running to an end, with the report, the file and the figures."""
    ended = _mine(job).update(
        status=status,
        error=error,
        report=job.report,
        file=job.file,
        done=job.done,
        total=job.total,
        finished_at=timezone.now(),
    )
    return ended == 1


def _mine(job: Job) -> Any:
    return Job.objects.filter(pk=job.pk, status=JobStatus.RUNNING, attempt=job.attempt)


def cancel(job: Job) -> bool:
    """False if it was over already. A worker notices at its next batch; what is stored stays."""
    going = Job.objects.filter(pk=job.pk, status__in=[JobStatus.QUEUED, JobStatus.RUNNING])
    return going.update(status=JobStatus.CANCELLED, finished_at=timezone.now()) == 1


def again(job: Job) -> bool:
    """Queue a job once more that failed or was cancelled."""
    over = Job.objects.filter(pk=job.pk, status__in=[JobStatus.FAILED, JobStatus.CANCELLED])
    back = over.update(
        status=JobStatus.QUEUED, error="", done=0, attempt=0, started_at=None, finished_at=None
    )
    if back:
        tell(job)
    return back == 1


def requeue_lost() -> int:
    """Queue jobs whose worker fell silent, and tell again of those that nobody heard of. By the
    database's clock: hosts may be minutes apart."""
    silent = Q(status=JobStatus.RUNNING, heartbeat_at__lt=Now() - SILENCE)
    unheard = Q(status=JobStatus.QUEUED, created_at__lt=Now() - UNHEARD)
    found = Job.objects.filter(silent | unheard)
    return sum(_requeue(job) for job in found)


def _requeue(job: Job) -> bool:
    """Compare-and-swap on the heartbeat that was seen: a job that beats again is left alone."""
    if job.status == JobStatus.QUEUED:
        tell(job)
        return True
    seen = Job.objects.filter(
        pk=job.pk, status=JobStatus.RUNNING, attempt=job.attempt, heartbeat_at=job.heartbeat_at
    )
    if job.attempt >= MOST_ATTEMPTS:
        error = (
            f"The worker was lost {job.attempt} times. Look at its log, then start the job again."
        )
        seen.update(status=JobStatus.FAILED, error=error, finished_at=timezone.now())
        return False
    if not seen.update(status=JobStatus.QUEUED):
        return False
    log.warning("job_requeued", job=job.pk, attempt=job.attempt)
    tell(job)
    return True


@dataclass(frozen=True)
class Pace:
    """How long a job has taken, and by its pace so far will still take."""

    elapsed: timedelta
    remaining: timedelta | None
    waiting: bool  # nobody has taken it for a few seconds

    @classmethod
    def of(cls, job: Job, now: datetime | None = None) -> Pace:
        now = job.finished_at or now or timezone.now()
        elapsed = now - (job.started_at or job.created_at)
        waiting = job.status == JobStatus.QUEUED and elapsed > timedelta(seconds=5)
        if job.status != JobStatus.RUNNING or not job.done or not job.total:
            return cls(elapsed, None, waiting)
        left = elapsed * max(job.total - job.done, 0) / job.done
        return cls(elapsed, left, waiting)
