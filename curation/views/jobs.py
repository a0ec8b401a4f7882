"""Jobs: the list, one job with live progress and its report, its file, cancel and start again."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from curation import jobs
from curation.access import get_project_for
from curation.artifacts import exists, open_artifact, size
from curation.models import Job
from curation.requests import Request, whole_number

PAGE_ROWS = 50


def job_list(request: Request, slug: str) -> HttpResponse:
    """The newest first, fifty a page, by key."""
    project = get_project_for(request.user, slug)
    found = project.jobs.select_related("created_by", "project").defer("report")
    before = whole_number(request.GET.get("before"))
    if before is not None:
        found = found.filter(pk__lt=before)
    rows = list(found[: PAGE_ROWS + 1])
    context = {
        "project": project,
        "section": "jobs",
        "jobs": rows[:PAGE_ROWS],
        "older": rows[PAGE_ROWS - 1].pk if len(rows) > PAGE_ROWS else None,
    }
    return render(request, "curation/job_list.html", context)


def job_page(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug)
    job = get_object_or_404(project.jobs.select_related("created_by"), pk=pk)
    context = {"project": project, "section": "jobs", "job": job, **_facts(job)}
    page = "curation/job.html"
    return render(request, f"{page}#state" if request.htmx else page, context)


def _facts(job: Job) -> dict[str, Any]:
    """What the page says beside the row itself."""
    left_out = job.report.get("left_out", [])
    listed = left_out if isinstance(left_out, list) else []
    return {
        "pace": jobs.Pace.of(job),
        "left_out": listed,
        "left_out_total": job.report.get("left_out_total", 0),
        "reasons": left_out if isinstance(left_out, dict) else {},
        "percent": round(100 * job.done / job.total) if job.total else None,
    }


@require_POST
def job_cancel(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug, "curation.research")
    job = get_object_or_404(project.jobs, pk=pk)
    if not jobs.cancel(job):
        messages.info(request, "The job was over already.")
    return redirect(job)


@require_POST
def job_again(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug, "curation.research")
    job = get_object_or_404(project.jobs, pk=pk)
    with transaction.atomic():
        if not jobs.again(job):
            messages.info(
                request, "The job is queued, running or done; there is nothing to repeat."
            )
    return redirect(job)


def job_file(request: Request, slug: str, pk: int) -> FileResponse:
    """The export, or the rows that an import left out, streamed from the store."""
    project = get_project_for(request.user, slug, "curation.research")
    job = get_object_or_404(project.jobs, pk=pk)
    if not job.file or not exists(job.file):
        raise Http404("This job has no file, or it has been deleted.")
    name = PurePosixPath(job.file).name
    response = FileResponse(open_artifact(job.file), as_attachment=True, filename=name)
    response["Content-Type"] = "application/octet-stream"
    response["Content-Length"] = size(job.file)
    response["X-Content-Type-Options"] = "nosniff"
    return response
