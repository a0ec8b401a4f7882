"""Import from the browser: upload, look at what would be read, start the job."""

from __future__ import annotations

from django.contrib import messages
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.db import transaction
from django.forms import BoundField
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from curation import jobs
from curation.access import get_project_for
from curation.forms.imports import AUTHORS, PlanForm, UploadForm, too_large
from curation.ingest.mapping import Mapping
from curation.ingest.plan import Plan
from curation.ingest.preview import Preview, preview
from curation.ingest.record import UnreadableFile
from curation.ingest.shapes import SHAPES
from curation.models import JobKind, Project
from curation.requests import Request
from curation.uploads import BoundedUpload, Upload, find, keep


@csrf_exempt  # the check reads the body, and the body must be bounded first: `_upload` makes it
def import_new(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug, "curation.research")
    bound = BoundedUpload()
    request.upload_handlers = [bound, TemporaryFileUploadHandler(request)]
    return _upload(request, project, bound)


@csrf_protect
def _upload(request: Request, project: Project, bound: BoundedUpload) -> HttpResponse:
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if bound.over:
        form.errors["file"] = form.error_class([too_large()])
    elif form.is_valid():
        ticket = keep(project, form.cleaned_data["file"])
        return redirect("import-preview", project.slug, ticket)
    context = {"project": project, "section": "jobs", "form": form, "shapes": SHAPES}
    status = 413 if bound.over else 200
    return render(request, "curation/import_new.html", context, status=status)


def import_preview(request: Request, slug: str, ticket: str) -> HttpResponse:
    """The first rows as they will be read; a POST with `start` begins the import."""
    project = get_project_for(request.user, slug, "curation.research")
    upload = find(project, ticket)
    if upload is None:
        messages.error(request, "That upload is no longer here. Choose the file again.")
        return redirect("import", slug)
    form, plan, seen = _read(request, upload)
    if request.method == "POST" and "start" in request.POST and plan and not seen.error:
        with transaction.atomic():
            job = jobs.start(project, JobKind.IMPORT, plan.as_params(), request.user)
        return redirect(job)
    context = {"project": project, "section": "jobs", "form": form, "seen": seen}
    context |= {"upload": upload, "ticket": ticket, "authors": _authors(form, seen)}
    page = "curation/import_preview.html"
    return render(request, f"{page}#seen" if request.htmx else page, context)


def _read(request: Request, upload: Upload) -> tuple[PlanForm, Plan | None, Preview]:
    """The file as the form says it is to be read, or as it explains itself."""
    itself = Plan(file=upload.uri, name=upload.name)
    plain = preview(itself, 0) if request.POST else preview(itself)
    unknown = bool(plain.error) and bool(plain.fields)
    form = PlanForm(request.POST or None, guess=plain.guess, unknown=unknown)
    if not form.is_valid():  # nothing is said yet, or something that makes no sense
        return form, None, plain
    try:
        plan = form.plan(upload.uri, upload.name)
    except UnreadableFile as error:
        return form, None, Preview(error=str(error))
    return form, plan, preview(plan)


def _authors(form: PlanForm, seen: Preview) -> list[tuple[BoundField, str]]:
    """The name fields that matter to this file, each with the name that is taken if empty."""
    names = seen.reading.names if seen.reading else Mapping.names
    known = [(author, getattr(names, author)) for author in AUTHORS]
    return [(form[author], name) for author, name in known if name]
