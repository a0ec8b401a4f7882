"""Runs: the list, a new one, one run with its curves, log, samples and checkpoints."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from curation.access import get_project_for
from curation.models import Project
from curation.requests import Request, whole_number
from training.curves import curves, metric_names
from training.folders import read_end
from training.forms import KindForm, LaunchForm, resolved_rows, shown_config, warnings_about
from training.launch import request_cancel
from training.models import Run, RunKind, RunStatus
from training.plans import config_class
from training.samples import samples_of
from training.telling import standing

PARTS = {"status", "log", "samples"}


def run_list(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug)
    runs = project.runs.select_related("student", "launched_by", "dataset")
    kind, status = request.GET.get("kind", ""), request.GET.get("status", "")
    if kind in RunKind.values:
        runs = runs.filter(kind=kind)
    if status in RunStatus.values:
        runs = runs.filter(status=status)
    page = Paginator(runs, 50).get_page(request.GET.get("page"))
    rows = [(run, standing(run)) for run in page.object_list]
    for run, _ in rows:
        run.project = project
    context = {
        "project": project,
        "section": "runs",
        "page": page,
        "rows": rows,
        "kinds": RunKind.choices,
        "statuses": RunStatus.choices,
        "kind": kind,
        "status": status,
        "live": any(not run.is_over for run, _ in rows),
    }
    part = "#rows" if request.htmx else ""
    return render(request, f"training/run_list.html{part}", context)


def run_new(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug, "curation.research")
    source = cloned(project, request.GET.get("from"))
    kinds = KindForm(first_choice(request, source))
    kind, method = kinds.chosen()
    data = request.POST if request.method == "POST" else None
    form = LaunchForm(project, kind, method, data, initial=first_values(request, source, kind))
    if data is not None and form.is_valid():
        run = form.launch(by=request.user, parent=source)
        if run is not None:
            for words in warnings_about(run.config):
                messages.warning(request, words)
            return redirect(run)
    context = {
        "project": project,
        "section": "runs",
        "kinds": kinds,
        "form": form,
        "kind": kind,
        "method": method,
        "source": source,
    }
    part = "#settings" if request.htmx else ""
    status = 422 if form.is_bound else 200
    return render(request, f"training/run_new.html{part}", context, status=status)


def cloned(project: Project, pk: str | None) -> Run | None:
    """The run to copy the settings of, if one is named."""
    number = whole_number(pk)
    return None if number is None else project.runs.filter(pk=number).first()


def first_choice(request: Request, source: Run | None) -> dict[str, str]:
    given = request.POST if request.method == "POST" else request.GET
    if source is not None and "kind" not in given:
        return {"kind": source.kind, "method": source.method}
    return {"kind": given.get("kind", RunKind.TRAIN), "method": given.get("method", "")}


def first_values(request: Request, source: Run | None, kind: str) -> dict[str, Any]:
    """What the form shows at first: the address may name any field, a clone names all."""
    values: dict[str, Any] = {}
    if source is not None and source.kind == kind:
        values = shown_config(kind, source.method, source.config)
        frame = ("student", "dataset", "name", "seed", "host_class")
        values |= {name: getattr(source, name) for name in frame}
    return values | {name: value for name, value in request.GET.items() if value}


def run_page(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug)
    run = run_of(project, pk)
    part = request.GET.get("part") if request.htmx else None
    context = run_context(project, run) | part_context(run, part)
    template = f"training/run.html#{part}" if part in PARTS else "training/run.html"
    return render(request, template, context)


def run_of(project: Project, pk: int) -> Run:
    run = get_object_or_404(
        project.runs.select_related("student", "dataset", "launched_by", "parent"), pk=pk
    )
    run.project = project
    return run


def run_context(project: Project, run: Run) -> dict[str, Any]:
    """What every part of the page needs."""
    return {
        "project": project,
        "section": "runs",
        "run": run,
        "standing": standing(run, look_for_workers=True),
        "checkpoints": run.checkpoints.select_related("model"),
        "evaluation": getattr(run, "evaluation", None),
        "can_research": project.my_role in ("owner", "researcher"),  # type: ignore[attr-defined]
    }


def part_context(run: Run, part: str | None) -> dict[str, Any]:
    """What only some parts need; the whole page (None) needs all."""
    context: dict[str, Any] = {}
    if part in (None, "log"):
        context["log"] = read_end(run, "log.txt")
    if part in (None, "samples"):
        context["samples"] = samples_of(run)
    if part is None:
        config_type = config_class(run.kind, run.method)
        context["config"] = resolved_rows(config_type, run.config)
        context["warnings"] = warnings_about(run.config)
        context["metrics"] = metric_names(run)
    return context


def run_metrics(request: Request, slug: str, pk: int) -> JsonResponse:
    """The points later than `?after=step`, of the metrics in `?names=a,b` or all."""
    project = get_project_for(request.user, slug)
    run = run_of(project, pk)
    after = whole_number(request.GET.get("after"))
    known = metric_names(run)
    names = [name for name in request.GET.get("names", "").split(",") if name in known]
    points = curves(run, names, -1 if after is None else after)
    return JsonResponse({**points, "over": run.is_over, "names": known})


@require_POST
def run_cancel(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug, "curation.research")
    run = run_of(project, pk)
    if not request_cancel(run):
        messages.info(request, "The run was over, or is stopping already.")
    return redirect(run)
