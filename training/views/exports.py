"""Asking for an export of a version, and seeing how far it is."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from curation import jobs
from curation.access import get_project_for
from curation.models import DatasetVersion
from curation.requests import Request
from training.export import formats
from training.forms.versions import ExportForm
from training.versions.exporting import ask_for_export, exports_of


def export_new(request: Request, slug: str, number: int, name: str) -> HttpResponse:
    """The options of a format; a POST queues the job."""
    project = get_project_for(request.user, slug, "curation.research")
    version = get_object_or_404(project.dataset_versions, number=number)
    if name not in formats():
        raise Http404(f"There is no format {name}.")
    form = ExportForm(request.POST or None, format=name)
    if form.is_valid():
        parquet = form.cleaned_data["data_files"] == "parquet"
        with transaction.atomic():
            job = ask_for_export(version, name, form.options, parquet, request.user)
            jobs.tell(job)
        messages.success(request, "The export is queued; its file appears below when it is done.")
        return redirect(f"{version.get_absolute_url()}#exports")
    context = {
        "project": project,
        "section": "versions",
        "version": version,
        "name": name,
        "shape": formats()[name],
        "form": form,
    }
    return render(request, "training/export_form.html", context)


def version_exports(request: Request, slug: str, number: int) -> HttpResponse:
    """The exports of a version as they stand, for the version's page."""
    project = get_project_for(request.user, slug)
    version = get_object_or_404(project.dataset_versions, number=number)
    if not request.htmx:
        return redirect(f"{version.get_absolute_url()}#exports")
    context = {"project": project, "version": version} | exports_context(version)
    return render(request, "training/version.html#exports", context)


def exports_context(version: DatasetVersion) -> dict[str, Any]:
    """The latest exports, and whether one of them is still going on."""
    exports = list(exports_of(version))
    return {"exports": exports, "exports_going": any(not job.is_over for job in exports)}
