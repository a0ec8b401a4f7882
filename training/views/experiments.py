"""Experiments: the list, a new one, one with its iterations, and what a person does to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import OuterRef, Subquery
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST

from curation.access import get_project_for
from curation.models import Project, User
from curation.requests import Request, whole_number
from training.experiments import charts as drawn
from training.experiments import deeds
from training.experiments.forms import ExperimentForm, chosen_method
from training.experiments.plan import ExperimentPlan, method_choices
from training.experiments.standing import CHIPS, choices, plan_rows, sentence, turns
from training.forms.runs import resolved_rows
from training.methods import method as find_method
from training.models import Experiment, ExperimentStatus, Iteration


def experiment_list(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug)
    last = Iteration.objects.filter(experiment=OuterRef("pk")).order_by("-number")
    found = project.experiments.select_related("start", "created_by").annotate(
        reached=Subquery(last.values("number")[:1]), stage=Subquery(last.values("stage")[:1])
    )
    page = Paginator(found, 50).get_page(request.GET.get("page"))
    rows = [(one, CHIPS[ExperimentStatus(one.status)]) for one in page.object_list]
    for experiment, _ in rows:
        experiment.project = project
    context = {"project": project, "section": "experiments", "page": page, "rows": rows}
    return render(request, "training/experiment_list.html", context)


def experiment_new(request: Request, slug: str) -> HttpResponse:
    """The form; it begins with the plan of another experiment (`?from=`) or the usual one."""
    project = get_project_for(request.user, slug, "curation.research")
    given = request.POST if request.method == "POST" else request.GET
    source = copied(project, request.GET.get("from")) or {}
    method = chosen_method(given.get("method") or source.get("method"))
    usual = source if source.get("method") == method else deeds.usual_plan(project, method)
    data = request.POST if request.method == "POST" else None
    form = ExperimentForm(project, method, usual, data)
    if data is not None and form.is_valid():
        experiment = form.begin(request.user)
        if experiment is not None:
            return redirect(warned(request, experiment))
    context = {
        "project": project,
        "section": "experiments",
        "form": form,
        "method": method,
        "methods": method_choices(),
    }
    part = "#settings" if request.htmx else ""
    status = 422 if form.is_bound else 200
    return render(request, f"training/experiment_form.html{part}", context, status=status)


def copied(project: Project, pk: str | None) -> dict[str, Any] | None:
    number = whole_number(pk)
    found = None if number is None else project.experiments.filter(pk=number).first()
    return dict(found.plan) if found else None


def warned(request: Request, experiment: Experiment) -> Experiment:
    plan = ExperimentPlan.model_validate(experiment.plan)
    for words in deeds.worries(experiment.project, plan):
        messages.warning(request, words)
    return experiment


def experiment_page(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug)
    experiment = experiment_of(project, pk)
    made = turns(experiment)
    last = made[0].iteration if made else None
    in_order = [turn.iteration for turn in made[::-1]]
    plan = ExperimentPlan.model_validate(experiment.plan)
    context = {
        "project": project,
        "section": "experiments",
        "experiment": experiment,
        "chip": CHIPS[ExperimentStatus(experiment.status)],
        "sentence": sentence(experiment, last),
        "may": choices(experiment, last),
        "turns": made,
        "last": last,
        "iterations": in_order,
        "spent": [turn.spent for turn in made[::-1]],
        "is_priced": any(turn.spent.costs for turn in made),
        "table": drawn.rows(in_order),
        "charts": drawn.charts(in_order),
        "plan": plan_rows(plan),
        "settings": resolved_rows(find_method(plan.method).Config, plan.settings),
        "judge": project.language_models.filter(pk=plan.judge).first() if plan.judge else None,
        "can_research": project.my_role in ("owner", "researcher"),  # type: ignore[attr-defined]
    }
    part = "#live" if request.htmx else ""
    return render(request, f"training/experiment.html{part}", context)


def experiment_of(project: Project, pk: int) -> Experiment:
    found = project.experiments.select_related("start", "created_by")
    experiment = get_object_or_404(found, pk=pk)
    experiment.project = project
    return experiment


# Deed → what it does, and what is said where it finds nothing to do any more.
Deed = Callable[[Experiment, User], bool]
DEEDS: dict[str, tuple[Deed, str]] = {
    "go_on": (
        lambda one, by: deeds.go_on(one),
        "It goes on already, or has ended, or has failed; what has failed is retried.",
    ),
    "pause": (deeds.pause, "It was not running any more."),
    "retry": (lambda one, by: deeds.retry(one), "Nothing has failed, or it is retried already."),
    "stop": (deeds.stop, "It had ended already."),
    "open_gate": (deeds.open_gate, "No gate is shut any more."),
    "by_itself": (
        lambda one, by: deeds.let_go(one, True),
        "It goes by itself already, or has ended.",
    ),
    "by_hand": (
        lambda one, by: deeds.let_go(one, False),
        "It waits for you already, or has ended.",
    ),
}


@require_POST
def experiment_do(request: Request, slug: str, pk: int) -> HttpResponse:
    """One deed: `deed` names it, `until` says when the gate is to open."""
    project = get_project_for(request.user, slug, "curation.research")
    experiment = experiment_of(project, pk)
    name = request.POST.get("deed", "")
    if name == "open_gate_at":
        set_hour(request, experiment)
    elif name in DEEDS:
        deed, otherwise = DEEDS[name]
        if not deed(experiment, request.user):
            messages.info(request, otherwise)
    else:
        messages.error(request, "There is no such deed.")
    return redirect(experiment)


def set_hour(request: Request, experiment: Experiment) -> None:
    """When the gate opens at the latest, in the host's time zone."""
    try:
        moment = parse_datetime(request.POST.get("until", "").strip())
    except ValueError:
        moment = None
    if moment is None or not 2000 <= moment.year <= 9000:
        messages.error(request, "Say when as a date and a time, such as 2030-05-17T18:00.")
        return
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment)
    if deeds.open_gate_at(experiment, moment):
        past = "That time is past, so the gate opens now, with what is ranked."
        later = f"The gate opens on {moment:%-d %B %Y, %H:%M} at the latest."
        messages.success(request, later if moment > timezone.now() else past)
    else:
        messages.info(request, "No gate is shut any more.")
