"""Lineage as pages and as JSON, and the card of a checkpoint."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render

from curation.access import get_project_for
from curation.browsing.dossier import is_blind_for
from curation.models import Project, Rationale
from curation.requests import Request
from curation.text.rendering import markdown
from training.cards import model_card
from training.cards.model import without_front_matter
from training.lineage import checkpoint as checkpoints
from training.lineage import rationale as rationales
from training.lineage.drawing import picture_of_checkpoint, picture_of_rationale
from training.models import Checkpoint

HIDDEN = "You may still be asked to judge this question, so what became of it is hidden."


def rationale_lineage(request: Request, slug: str, pk: int) -> HttpResponse:
    """What a rationale reached; `?format=json` for programs. Hidden from who may still judge it."""
    project = get_project_for(request.user, slug)
    here = Rationale.objects.filter(question__project=project)
    rationale = get_object_or_404(
        here.select_related("question", "author_model", "author_user"), pk=pk
    )
    rationale.question.project = project
    context: dict[str, Any] = {"project": project, "section": "questions", "rationale": rationale}
    if is_blind_for(rationale.question, request.user):
        if as_json(request):
            return JsonResponse({"schema": rationales.SCHEMA, "hidden": HIDDEN}, status=403)
        return render(request, "training/lineage_rationale.html", context | {"hidden": HIDDEN})
    lineage = rationales.lineage_of(rationale, request.user)
    if as_json(request):
        return JsonResponse(lineage.as_json())
    context |= {"lineage": lineage, "picture": picture_of_rationale(lineage)}
    return render(request, "training/lineage_rationale.html", context)


def checkpoint_lineage(request: Request, slug: str, pk: int) -> HttpResponse:
    """What made a checkpoint; `?format=json` for programs."""
    project, checkpoint = _checkpoint(request, slug, pk)
    named = request.user.has_perm("curation.research", project)
    lineage = checkpoints.lineage_of(checkpoint, named)
    if as_json(request):
        return JsonResponse(lineage.as_json())
    context = {
        "project": project,
        "section": "runs",
        "checkpoint": checkpoint,
        "lineage": lineage,
        "picture": picture_of_checkpoint(lineage),
        "named": named,
    }
    return render(request, "training/lineage_checkpoint.html", context)


def checkpoint_card(request: Request, slug: str, pk: int) -> HttpResponse:
    """The README.md that goes with a checkpoint; `?format=md` is the file itself."""
    project, checkpoint = _checkpoint(request, slug, pk)
    text = model_card(checkpoint)
    if request.GET.get("format") == "md":
        answer = HttpResponse(text, content_type="text/markdown; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="README.md"'
        return answer
    context = {
        "project": project,
        "section": "runs",
        "checkpoint": checkpoint,
        "card": markdown(without_front_matter(text)),
    }
    return render(request, "training/lineage_card.html", context)


def _checkpoint(request: Request, slug: str, pk: int) -> tuple[Project, Checkpoint]:
    project = get_project_for(request.user, slug)
    here = Checkpoint.objects.filter(run__project=project)
    found = here.select_related("run__student", "run__dataset", "model")
    checkpoint = get_object_or_404(found, pk=pk)
    checkpoint.run.project = project
    return project, checkpoint


def as_json(request: Request) -> bool:
    return request.GET.get("format") == "json"
