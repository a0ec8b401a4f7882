"""The background work of curation. A message carries an id; the row is the truth."""

from __future__ import annotations

from celery import shared_task

from curation import jobs, uploads
from curation.agreement import figures
from curation.browsing import bulk, words
from curation.ingest.job import perform
from curation.models import Job, Project, Queue


@shared_task(name="curation.tasks.run_import", queue="cpu")
def run_import(job_pk: int) -> None:
    """Do an import, unless somebody else has it, it is over, or its project is gone."""
    job = Job.objects.select_related("project").filter(pk=job_pk).first()
    if job and job.claim():
        perform(job)


@shared_task(name="curation.tasks.run_bulk", queue="cpu")
def run_bulk(job_pk: int) -> None:
    """Do a deed on many rows, unless somebody else has it, it is over, or its project is gone."""
    job = Job.objects.select_related("project", "created_by").filter(pk=job_pk).first()
    if job and job.claim():
        bulk.perform(job)


@shared_task(name="curation.tasks.index_words")
def index_words() -> int:
    return words.index_all()


@shared_task(name="curation.tasks.requeue_lost_jobs")
def requeue_lost_jobs() -> int:
    return jobs.requeue_lost()


@shared_task(name="curation.tasks.measure_agreement", queue="cpu")
def measure_agreement(scope: tuple[int, int | None]) -> None:
    """Compute the figures of a project, or of one of its queues, unless it is gone."""
    project_pk, queue_pk = scope
    project = Project.objects.filter(pk=project_pk).first()
    queues = Queue.objects.filter(project=project_pk)
    if project and queue_pk is None:
        figures.measure(project)
    elif project and (queue := queues.filter(pk=queue_pk or 0).first()):
        figures.measure(project, queue)


@shared_task(name="curation.tasks.measure_stale_agreement")
def measure_stale_agreement() -> int:
    return figures.measure_stale()


@shared_task(name="curation.tasks.sweep_uploads")
def sweep_uploads() -> int:
    return uploads.sweep()
