"""Questions and rationales to search, and one question with everything that was said about it."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render

from curation.access import get_project_for
from curation.browsing import question_search, rationale_search
from curation.browsing.dossier import dossier
from curation.browsing.keyset import Count
from curation.browsing.question_search import neighbours, tags_of
from curation.forms.browsing import RationaleSearchForm, SearchForm
from curation.models import Decision, Project
from curation.requests import Request
from curation.review.reasons import reasons_of


def question_list(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug)
    form = SearchForm(request.GET, project=project)
    search = form.search()
    found = question_search.matching(project, search)
    after, before = request.GET.get("after"), request.GET.get("before")
    context = {
        "project": project,
        "section": "questions",
        "form": form,
        "search": search,
        "here": search.address(after=after, before=before),
        "count": Count.of(found),
        "page": question_search.page_of(found, after, before, search.order),
        **bulk_choices(request, project),
    }
    page = "curation/question_list.html"
    return render(request, f"{page}#found" if request.htmx else page, context)


def rationale_list(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug)
    veiled = rationale_search.veiled(project, request.user)
    form = RationaleSearchForm(request.GET, project=project, veiled=veiled)
    search = form.search()
    found = rationale_search.matching(project, search)
    after, before = request.GET.get("after"), request.GET.get("before")
    context = {
        "project": project,
        "section": "questions",
        "form": form,
        "search": search,
        "veiled": veiled,
        "here": search.address(after=after, before=before),
        "count": Count.of(found),
        "page": rationale_search.page_of(found, search, request.user, after, before),
        **bulk_choices(request, project),
    }
    page = "curation/rationale_list.html"
    return render(request, f"{page}#found" if request.htmx else page, context)


def question_page(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug)
    question = get_object_or_404(project.questions, pk=pk)
    question.project = project
    before, after = neighbours(question)
    context = {
        "project": project,
        "section": "questions",
        "question": question,
        "before": before,
        "after": after,
        **dossier(question, request.user),
        **bulk_choices(request, project),
    }
    return render(request, "curation/question.html", context)


def bulk_choices(request: Request, project: Project) -> dict[str, Any]:
    """What the bar offers to those who may act on many rows."""
    if not request.user.has_perm("curation.research", project):
        return {"may_act": False}
    return {
        "may_act": True,
        "queues": project.queues.filter(is_open=True)[:200],
        "tags": tags_of(project),
        "reasons": reasons_of(project)[Decision.REJECT],
    }
