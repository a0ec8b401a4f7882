"""Questions to search, and one question with everything that was written and said about it."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render

from curation.access import get_project_for
from curation.browsing import matching, neighbours, page_of
from curation.dossier import dossier
from curation.forms.project import SearchForm
from curation.requests import Request, whole_number


def question_list(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug)
    form = SearchForm(request.GET, project=project)
    search = form.search()
    found = matching(project, search)
    context = {
        "project": project,
        "section": "questions",
        "form": form,
        "search": search,
        "total": found.order_by().count(),
        "page": page_of(
            found,
            whole_number(request.GET.get("after")),
            whole_number(request.GET.get("before")),
            newest=search.order == "newest",
        ),
    }
    return render(request, "curation/question_list.html", context)


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
    }
    return render(request, "curation/question.html", context)
