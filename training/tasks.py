"""The background work of training's side. A message carries an id; the row is the truth."""

from __future__ import annotations

from celery import Task, shared_task

from curation.models import Job
from training import rehearsing, scoring, webhooks, workers
from training import supervise as supervision
from training.exporting import perform


@shared_task(bind=True, name="training.tasks.supervise")
def supervise(self: Task, run_pk: int) -> str:
    """See a run through, unless somebody else has it or it is over."""
    queue = (self.request.delivery_info or {}).get("routing_key") or "cpu"
    owner = workers.owner_of(workers.worker_name(queue), self.request.id or "")
    status = supervision.supervise(run_pk, owner)
    advancing.run_left(run_pk)
    return status


@shared_task(name="training.tasks.rehearse")
def rehearse(rehearsal_pk: int) -> str:
    """Do a rehearsal, unless somebody else has it or it is over."""
    return rehearsing.perform(rehearsal_pk)


@shared_task(name="training.tasks.reap")
def reap() -> dict[str, int]:
    """Mend what dead workers and lost messages left."""
    return supervision.reap()


@shared_task(name="training.tasks.score_stored")
def score_stored(rationale_ids: list[int]) -> int:
    """Score what an import stored. Done twice, it adds nothing."""
    return scoring.score(rationale_ids)


@shared_task(name="training.tasks.run_export", queue="cpu")
def run_export(job_id: int) -> None:
    """Do an export job, unless somebody else has it or it is over."""
    job = Job.objects.get(pk=job_id)
    if job.claim():
        perform(job)
