"""An import as a background job: from the uploaded file to the report."""

from __future__ import annotations

import tempfile
from typing import IO

from curation import jobs
from curation.artifacts import open_artifact, project_path, store
from curation.ingest.load import Loader
from curation.ingest.plan import Plan, Reading, begin
from curation.ingest.readers import Table
from curation.ingest.record import UnreadableFile
from curation.ingest.report import Report
from curation.models import Job, JobStatus


def perform(job: Job) -> None:
    """Do an import that the caller has claimed, to its end."""
    try:
        _perform(job)
    except jobs.TakenAway:
        return
    except UnreadableFile as error:
        jobs.finish(job, JobStatus.FAILED, error=str(error))
    except FileNotFoundError:
        jobs.finish(job, JobStatus.FAILED, error="The uploaded file is gone. Upload it again.")
    except Exception as error:
        jobs.finish(job, JobStatus.FAILED, error=f"{type(error).__name__}: {error}"[:500])
        raise


def _perform(job: Job) -> None:
    plan = Plan(**job.params)
    with open_artifact(plan.file) as file, tempfile.TemporaryFile() as left_out:
        table = Table(file, plan.name)
        reading, rows = begin(plan, table)
        loader = Loader(job.project, reading, job.batch, left_out)
        try:
            loader.load(rows, lambda report: _told(job, table, report))
        finally:
            _report(job, reading, loader.report, left_out)
    job.total = job.done = loader.report.rows
    if loader.report.left_out_total == loader.report.rows:
        error = "No row could be taken in; the reasons are below."
        jobs.finish(job, JobStatus.FAILED, error=error)
    else:
        jobs.finish(job, JobStatus.DONE)


def _told(job: Job, table: Table, report: Report) -> None:
    jobs.advance(job, report.rows, max(table.expected or report.rows, report.rows))


def _report(job: Job, reading: Reading, report: Report, left_out: IO[bytes]) -> None:
    """Put the report, and the file of all rows left out, on the job (`finish` saves them)."""
    if job.attempt > 1:
        report.remarks.append(
            "An earlier attempt was cut off: what it stored is counted here as known."
        )
    facts = {"shape": reading.shape.words, "split": reading.split, "source": reading.source}
    job.report = {**report.as_json(), **facts}
    if report.left_out_total:
        left_out.seek(0)
        path = project_path(job.project, "imports", str(job.pk), "left-out.jsonl")
        job.file = store(path, left_out)
