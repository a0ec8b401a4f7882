"""Dataset versions: the list, one version with its lineage, and the form that makes the next."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST
from pydantic import ValidationError

from curation.access import get_project_for
from curation.models import DatasetVersion, Project
from curation.requests import Request, whole_number
from training.export import formats
from training.forms.versions import RecipeForm
from training.models import Checkpoint
from training.runs.storing import FileGone, opened, pieces
from training.versions.freezing import freeze, left_out_file, preview, sample, twins
from training.versions.naming import names_in, with_names
from training.versions.recipe import Recipe, in_words
from training.views.exports import exports_context


def version_list(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug)
    versions = project.dataset_versions.select_related("created_by").order_by("-number")
    versions = versions.annotate(trained=Count("runs"))
    page = Paginator(versions, 50).get_page(request.GET.get("page"))
    context = {"project": project, "section": "versions", "page": page}
    return render(request, "training/version_list.html", context)


def version_page(request: Request, slug: str, number: int) -> HttpResponse:
    project = get_project_for(request.user, slug)
    version = get_object_or_404(
        project.dataset_versions.select_related("created_by"), number=number
    )
    rows, missing = sample(version)
    names = names_in(project)
    runs = version.runs.select_related("student", "launched_by")
    context = {
        "project": project,
        "section": "versions",
        "version": version,
        "recipe": in_words(Recipe.model_validate(version.recipe), names),
        "counts": with_names(version.counts, names),
        "twin": twins(version).first(),
        "rows": rows,
        "missing": missing,
        "formats": formats(),
        "runs": runs,
        "checkpoints": Checkpoint.objects.filter(run__in=runs).select_related("model", "run"),
    } | exports_context(version)
    return render(request, "training/version.html", context)


def version_new(request: Request, slug: str) -> HttpResponse:
    """The form; `preview` in the POST only counts what would be chosen."""
    project = get_project_for(request.user, slug, "curation.research")
    form = RecipeForm(request.POST or None, project=project, recipe=_starting(request, project))
    context = {"project": project, "section": "versions", "form": form}
    if form.is_bound and "preview" in request.POST:
        context |= counted(project, form)
    elif form.is_valid():
        try:
            version = freeze(project, form.recipe, request.user, form.cleaned_data["name"])
        except ValueError as error:
            form.add_error(None, str(error))
        else:
            return redirect(_told(request, version))
    return render(request, "training/version_form.html", context)


@require_POST
def version_preview(request: Request, slug: str) -> HttpResponse:
    """What the fields as they stand would choose."""
    project = get_project_for(request.user, slug, "curation.research")
    form = RecipeForm(request.POST, project=project, recipe=Recipe())
    context = {"project": project, "form": form} | counted(project, form)
    return render(request, "training/version_form.html#preview", context)


def version_left_out(request: Request, slug: str, number: int) -> StreamingHttpResponse:
    """Every rationale that is not in, with its reason."""
    version = _version(request, slug, number)
    return _download(left_out_file(version), f"{slug}-v{number}-left-out.jsonl")


def version_file(request: Request, slug: str, number: int) -> StreamingHttpResponse:
    """The frozen file itself."""
    return _download(_version(request, slug, number).file, f"{slug}-v{number}.jsonl")


def counted(project: Project, form: RecipeForm) -> dict[str, Any]:
    """The counts of a recipe, or why there are none."""
    if not form.is_valid():
        return {"fault": "Mend the fields that are marked, then the counts appear here."}
    try:
        return {"counts": with_names(preview(project, form.recipe), names_in(project))}
    except ValueError as error:
        return {"fault": str(error)}


def _starting(request: Request, project: Project) -> Recipe:
    """The recipe that the form begins with: of another version, of a run's samples, or plain."""
    number, run = (whole_number(request.GET.get(name)) for name in ("from", "run"))
    if number is not None:
        version = project.dataset_versions.filter(number=number).first()
        if version:
            return Recipe.model_validate(version.recipe)
    try:
        return Recipe() if run is None else Recipe(runs=[run])
    except ValidationError:
        return Recipe()


def _told(request: Request, version: DatasetVersion) -> DatasetVersion:
    twin = twins(version).first()
    same = f" It has the same content as v{twin.number}." if twin else ""
    messages.success(request, f"Version {version} is frozen.{same}")
    return version


def _version(request: Request, slug: str, number: int) -> DatasetVersion:
    project = get_project_for(request.user, slug)
    return get_object_or_404(project.dataset_versions, number=number)


def _download(url: str, name: str) -> StreamingHttpResponse:
    try:
        file = opened(url)
    except FileGone as error:
        raise Http404("The file of this version is gone from the artifact store.") from error
    response = StreamingHttpResponse(pieces(file), content_type="application/x-ndjson")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
