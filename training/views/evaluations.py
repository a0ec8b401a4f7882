"""Evaluations: models side by side on the same questions, and each question's answers."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render

from curation.access import get_project_for
from curation.requests import Request, whole_number
from training.models import Evaluation, EvaluationItem
from training.reports.comparison import comparable, latest_evaluations, side_by_side

SHOWING = {
    "": ("all", {}),
    "wrong": ("greedy answer wrong", {"correct": False}),
    "right": ("greedy answer right", {"correct": True}),
}


def evaluation_list(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug)
    numbers = [whole_number(pk) for pk in request.GET.getlist("e")]
    chosen = [pk for pk in numbers if pk is not None]
    shown = latest_evaluations(project, chosen)
    every = Evaluation.objects.filter(run__project=project).select_related("model")[:100]
    context = {
        "project": project,
        "section": "evaluations",
        "shown": shown,
        "shown_ids": {evaluation.pk for evaluation in shown},
        "every": every,
        "table": side_by_side(shown),
        "comparable": comparable(shown),
    }
    return render(request, "training/evaluation_list.html", context)


def evaluation_page(request: Request, slug: str, pk: int) -> HttpResponse:
    """The questions of one evaluation with the greedy answer and the samples."""
    project = get_project_for(request.user, slug)
    found = Evaluation.objects.filter(run__project=project).select_related("model", "run")
    evaluation = get_object_or_404(found, pk=pk)
    evaluation.run.project = project
    show = request.GET.get("show", "")
    _, condition = SHOWING.get(show, SHOWING[""])
    greedy = evaluation.items.filter(index=0, **condition).select_related("question")
    page = Paginator(greedy, 25).get_page(request.GET.get("page"))
    add_samples(evaluation, list(page.object_list), project.slug)
    context = {
        "project": project,
        "section": "evaluations",
        "evaluation": evaluation,
        "table": side_by_side([evaluation]),
        "page": page,
        "show": show,
        "showing": [(value, words) for value, (words, _) in SHOWING.items()],
    }
    return render(request, "training/evaluation.html", context)


def add_samples(evaluation: Evaluation, items: list[EvaluationItem], slug: str) -> None:
    """Put each question's sampled answers beside its greedy one, in one query."""
    by_question: dict[int, list[EvaluationItem]] = {item.question_id: [] for item in items}
    sampled = evaluation.items.filter(question__in=by_question, index__gt=0)
    for item in sampled:
        by_question[item.question_id].append(item)
    for item in items:
        item.samples = by_question[item.question_id]  # type: ignore[attr-defined]
        item.right = sum(bool(s.correct) for s in by_question[item.question_id])  # type: ignore[attr-defined]
