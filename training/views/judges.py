"""Judge models: how far each agrees with people, how steady it is, what it costs, its prompt."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from curation.access import get_project_for
from curation.requests import Request
from training.reports.judge_agreement import MOST
from training.reports.judges import judges_of


def judge_list(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug)
    context = {"project": project, "section": "judges", "judges": judges_of(project), "most": MOST}
    return render(request, "training/judge_list.html", context)
