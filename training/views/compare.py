"""Two to eight runs on one page: settings, curves, samples, evaluations."""

from __future__ import annotations

import csv
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render

from curation.access import get_project_for
from curation.models import Project
from curation.requests import Request, whole_number
from training.models import Run
from training.reports import runs_beside as beside


def run_compare(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug)
    runs = chosen(request, project)
    context: dict[str, Any] = {"project": project, "section": "runs", "runs": runs}
    if not beside.FEWEST <= len(runs) <= beside.MOST:
        context |= {"others": project.runs.select_related("student")[:30]}
        return render(request, "training/run_compare.html", context)
    context |= comparison(request, runs)
    return render(request, "training/run_compare.html", context)


def comparison(request: Request, runs: list[Run]) -> dict[str, Any]:
    differing, same = beside.settings_beside(runs)
    metrics = beside.metrics_of(runs)
    evaluations, lines, split, splits = evaluated(request, runs)
    known = {name for _, names in metrics for name in names}
    metric = request.GET.get("metric", "")
    return {
        "differing": differing,
        "same": same,
        "metrics": metrics,
        "metric": metric if metric in known else beside.first_metric(metrics),
        "by_seconds": request.GET.get("x") == "seconds",
        "samples": beside.samples_beside(runs),
        "evaluations": evaluations,
        "lines": lines,
        "split": split,
        "splits": splits,
        "query": urlencode([("run", run.pk) for run in runs]),
    }


def evaluated(request: Request, runs: list[Run]) -> tuple[Any, list[beside.Line], str, list[str]]:
    """Each run's evaluation on the chosen split, and the table of them."""
    splits = beside.splits_of(runs)
    split = request.GET.get("split", "")
    split = split if split in splits else (splits[0] if splits else "")
    found = [beside.evaluation_of(run, split) for run in runs] if split else [None] * len(runs)
    return found, beside.table_of(found), split, splits


def chosen(request: Request, project: Project) -> list[Run]:
    """The runs that the address names, in its order; one too many tells the page to say so."""
    pks = [pk for pk in map(whole_number, request.GET.getlist("run")) if pk is not None]
    wanted = list(dict.fromkeys(pks))[: beside.MOST + 1]
    found = project.runs.select_related("student", "dataset").in_bulk(wanted)
    for run in found.values():
        run.project = project
    return [found[pk] for pk in wanted if pk in found]


def run_compare_curves(request: Request, slug: str) -> JsonResponse:
    """The points of one metric in each run."""
    project = get_project_for(request.user, slug)
    runs = chosen(request, project)[: beside.MOST]
    metric = request.GET.get("metric", "").replace("\0", "")
    by_seconds = request.GET.get("x") == "seconds"
    return JsonResponse({"metric": metric, "runs": beside.curves_beside(runs, metric, by_seconds)})


def run_compare_file(request: Request, slug: str) -> HttpResponse:
    """The evaluation table as CSV."""
    project = get_project_for(request.user, slug)
    runs = chosen(request, project)[: beside.MOST]
    _, lines, split, _ = evaluated(request, runs)
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="runs-{split or "none"}.csv"'
    csv.writer(answer).writerows(beside.csv_rows(runs, lines))
    return answer
