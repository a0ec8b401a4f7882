"""The background work of training's side. A message carries an id; the row is the truth."""

from __future__ import annotations

from celery import Task, shared_task

from curation.models import Job
from training import webhooks
from training.experiments import advance as advancing
from training.runs import rehearsing, scoring, workers
from training.runs import supervise as supervision
from training.versions.exporting import perform


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
    """Mend what dead workers and lost messages left, of runs and of rehearsals."""
    rehearsals = {f"rehearsals_{name}": count for name, count in rehearsing.reap().items()}
    return {**supervision.reap(), **rehearsals}


@shared_task(name="training.tasks.advance_experiment", queue="cpu")
def advance_experiment(pk: int) -> int:
    """Do what can be done for an experiment now. Told twice, it does nothing twice."""
    return advancing.advance_far(pk)


@shared_task(name="training.tasks.advance_experiments")
def advance_experiments() -> int:
    """The clock's call: every running experiment."""
    return advancing.advance_all()


@shared_task(name="training.tasks.score_stored")
def score_stored(rationale_ids: list[int]) -> int:
    """Score what was stored. Done twice, it adds nothing."""
    return scoring.score(rationale_ids)


@shared_task(name="training.tasks.tell_of_the_unscored")
def tell_of_the_unscored() -> int:
    """The clock's call: what a lost message left unscored."""
    return scoring.tell_of_the_unscored()


@shared_task(name="training.tasks.run_export", queue="cpu")
def run_export(job_id: int) -> None:
    """Do an export job, unless somebody else has it or it is over."""
    job = Job.objects.get(pk=job_id)
    if job.claim():
        perform(job)


@shared_task(name="training.tasks.deliver", queue="cpu")
def deliver(delivery_pk: int) -> bool:
    """Try a delivery, unless somebody else does or it is over."""
    return webhooks.deliver(delivery_pk)


@shared_task(name="training.tasks.deliver_due")
def deliver_due() -> int:
    """Every delivery whose pause is over, and an end to those tried for a day."""
    return webhooks.tell_of_the_due()
