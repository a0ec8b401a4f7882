"""Runs: the list and one run with its curves, groups, probes and log. Launching is beside it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import Http404, HttpResponse, JsonResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST
from django_htmx.http import push_url

from curation.access import get_project_for
from curation.browsing.keyset import Order, page
from curation.models import Project
from curation.requests import Request, whole_number
from training.forms.runs import resolved_rows, warnings_about
from training.methods import methods
from training.models import Run, RunKind, RunStatus
from training.reports import run_log
from training.reports.alarms import WATCHED, alarms, thresholds
from training.reports.curves import (
    SHOWN_FIRST,
    curves,
    grouped_names,
    last_step_by_name,
    last_values,
    means,
)
from training.reports.group_table import shown
from training.reports.probes import probed
from training.reports.samples import samples_of
from training.reports.telling import standing
from training.runs.costs import costs, unpriced_hosts
from training.runs.folders import read_facts
from training.runs.launch import request_cancel, resume
from training.runs.plans import config_class

PARTS = {"status", "log", "samples", "groups", "probes", "alarms"}
CHOSEN_BY = {"groups": {"round", "step", "group"}, "probes": {"probe"}}  # in the address
NEWEST_FIRST = Order("pk", descending=True)
FILTERS = ("kind", "method", "status", "q")


def run_list(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug)
    asked = {name: request.GET.get(name, "") for name in FILTERS}
    found = filtered(project.runs.all(), asked)
    given = (request.GET.get("after"), request.GET.get("before"))
    runs = page(found, NEWEST_FIRST, 50, *given, whole=whole)
    rows = [(run, standing(run)) for run in runs.rows]
    for run, _ in rows:
        run.project = project
    context = {
        "project": project,
        "section": "runs",
        "page": runs,
        "rows": rows,
        "kinds": RunKind.choices,
        "methods": list(methods()),
        "statuses": RunStatus.choices,
        **asked,
        "filtered": any(asked.values()),
        "live": any(not run.is_over for run, _ in rows),
    }
    part = "#rows" if request.htmx else ""
    return render(request, f"training/run_list.html{part}", context)


def whole(runs: QuerySet[Run]) -> QuerySet[Run]:
    """The rows of the list with what it names, without what it does not show."""
    return runs.select_related("student", "launched_by", "dataset").defer("config", "result")


def filtered(runs: QuerySet[Run], asked: dict[str, str]) -> QuerySet[Run]:
    """The runs that fit; what is no known kind, method or status asks for nothing."""
    if asked["kind"] in RunKind.values:
        runs = runs.filter(kind=asked["kind"])
    if asked["method"] in methods():
        runs = runs.filter(method=asked["method"])
    if asked["status"] in RunStatus.values:
        runs = runs.filter(status=asked["status"])
    text = asked["q"].strip().replace("\0", "")
    if not text:
        return runs
    named = Q(name__icontains=text) | Q(method__icontains=text) | Q(student__name__icontains=text)
    number = whole_number(text)
    return runs.filter(named if number is None else named | Q(pk=number))


def run_page(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug)
    run = run_of(project, pk)
    part = request.GET.get("part") if request.htmx else None
    part = part if part in PARTS else None
    context = run_context(project, run) | part_context(request, run, part)
    template = f"training/run.html#{part}" if part else "training/run.html"
    response = render(request, template, context)
    names = CHOSEN_BY.get(part or "", set())
    return (
        push_url(response, address(request, run, names)) if names & request.GET.keys() else response
    )


def address(request: Request, run: Run, names: Collection[str]) -> str:
    """The page's own address with what was just chosen in it, and all else that it said."""
    current = urlsplit(request.htmx.current_url or "").query
    query = QueryDict(current, mutable=True)
    for name in names:
        query.pop(name, None)
        if request.GET.get(name):
            query[name] = request.GET[name]
    return f"{run.get_absolute_url()}?{query.urlencode()}".rstrip("?")


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
        "can_research": project.my_role in ("owner", "researcher"),  # type: ignore[attr-defined]
    }


def part_context(request: Request, run: Run, part: str | None) -> dict[str, Any]:
    """What only some parts need; the whole page (None) needs all."""
    number = {name: whole_number(request.GET.get(name)) for name in ("round", "step", "group")}
    probe = whole_number(request.GET.get("probe"))
    training = run.kind == RunKind.TRAIN
    context: dict[str, Any] = {}
    if part in (None, "status"):
        context |= status_context(run)
    if part in (None, "log"):
        context |= {"log": run_log.tail(run), "log_size": run_log.size(run)}
    if part in (None, "alarms") and training:
        context["alarms"] = alarms(means(run, WATCHED))
        context["thresholds"] = list(thresholds())
    if part in (None, "groups") and training:
        context["table"] = shown(run, number["round"], number["step"], number["group"])
        context["follows"] = number["round"] is None and number["step"] is None
    if part in (None, "samples") and not context.get("table"):
        context["samples"] = samples_of(run)
    if part in (None, "probes") and training:
        context["probed"] = probed(run, probe)
        context["probe_follows"] = probe is None
    return context if part else context | page_context(run)


def status_context(run: Run) -> dict[str, Any]:
    return {
        "standing": standing(run, look_for_workers=True),
        "checkpoints": run.checkpoints.select_related("model"),
        "evaluation": getattr(run, "evaluation", None),
        "costs": costs(run),
        "unpriced": unpriced_hosts(run),
        "host": read_facts(run, "host.json"),
    }


def page_context(run: Run) -> dict[str, Any]:
    """What the whole page alone shows: the settings, and the last figures."""
    config_type = config_class(run.kind, run.method)
    parent = run.parent if run.parent and run.parent.kind == run.kind else None
    before = parent.config if parent else None
    return {
        "config": resolved_rows(config_type, run.config, before),
        "frame_changes": frame_changes(run, parent),
        "warnings": warnings_about(config_type, run.config),
        "figures": last_values(run) if run.kind == RunKind.TRAIN else [],
        "shown_first": ",".join(SHOWN_FIRST),
    }


def frame_changes(run: Run, parent: Run | None) -> dict[str, str]:
    """What around the settings is another than in the run that this one is a copy of."""
    if parent is None:
        return {}
    names = ("method", "student", "dataset", "seed", "host_class")
    return {
        name: "none" if getattr(parent, name) in (None, "") else str(getattr(parent, name))
        for name in names
        if getattr(parent, name) != getattr(run, name)
    }


def run_metrics(request: Request, slug: str, pk: int) -> JsonResponse:
    """The points later than `?after=step`, of the metrics in `?names=a,b` or all."""
    project = get_project_for(request.user, slug)
    run = run_of(project, pk)
    after = whole_number(request.GET.get("after"))
    names = [name for name in request.GET.get("names", "").split(",") if name]
    points = curves(run, names, -1 if after is None else after)
    groups = grouped_names(last_step_by_name(run))
    return JsonResponse({**points, "over": run.is_over, "groups": groups})


def run_log_file(request: Request, slug: str, pk: int) -> StreamingHttpResponse:
    """The whole log as a file."""
    project = get_project_for(request.user, slug)
    run = run_of(project, pk)
    if not run_log.size(run):
        raise Http404("This run has no log yet.")
    response = StreamingHttpResponse(run_log.whole(run), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="run-{run.pk}-log.txt"'
    return response


@require_POST
def run_cancel(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug, "curation.research")
    run = run_of(project, pk)
    if not request_cancel(run):
        messages.info(request, "The run was over, or is stopping already.")
    return redirect(run)


@require_POST
def run_resume(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug, "curation.research")
    run = run_of(project, pk)
    if not resume(run):
        messages.info(request, "Only a run that failed or was cancelled can go on.")
    return redirect(run)
