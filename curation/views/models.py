"""The models of a project: teachers, judges, students, checkpoints, and authors of imports."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from curation.access import get_project_for
from curation.forms.language_model import LanguageModelForm
from curation.models import LanguageModel, Project, Rationale
from curation.requests import Request


def model_list(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug)
    written = rationales_by_model(project)
    models = [(model, written.get(model.pk, {})) for model in project.language_models.all()]
    context = {"project": project, "section": "models", "models": models}
    return render(request, "curation/model_list.html", context)


def rationales_by_model(project: Project) -> dict[int, dict[str, int]]:
    """Model → how many rationales of each role it wrote; one query."""
    rows = (
        Rationale.objects.filter(author_model__project=project)
        .order_by()
        .values_list("author_model", "role")
        .annotate(written=Count("pk"))
    )
    found: dict[int, dict[str, int]] = {}
    for model, role, written in rows:
        found.setdefault(model, {})[role] = written
    return found


def model_new(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug, "curation.research")
    return _edit(request, project, LanguageModel(provider="openai"))


def model_page(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug, "curation.research")
    return _edit(request, project, get_object_or_404(project.language_models, pk=pk))


def _edit(request: Request, project: Project, model: LanguageModel) -> HttpResponse:
    form = LanguageModelForm(request.POST or None, instance=model, project=project)
    if form.is_valid():
        saved = form.save()
        messages.success(request, f"{saved} is saved.")
        return redirect("models", project.slug)
    context = {"project": project, "section": "models", "form": form, "model": model}
    return render(request, "curation/model_form.html", context)
