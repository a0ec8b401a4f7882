"""The bar under a list: one deed on the rows that are ticked, or on all that match."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from curation.access import get_project_for
from curation.browsing import bulk
from curation.forms.bulk import BulkForm
from curation.models import Job
from curation.requests import Request


@require_POST
def questions_bulk(request: Request, slug: str) -> HttpResponse:
    return _bulk(request, slug, bulk.QUESTIONS)


@require_POST
def rationales_bulk(request: Request, slug: str) -> HttpResponse:
    return _bulk(request, slug, bulk.RATIONALES)


def _bulk(request: Request, slug: str, things: str) -> HttpResponse:
    """Do it, begin it in the background, or ask once more whether all that match are meant."""
    project = get_project_for(request.user, slug, "curation.research")
    form = BulkForm(request.POST, project=project, things=things)
    if not form.is_valid():
        return _refused(
            request, form, [str(text) for texts in form.errors.values() for text in texts]
        )
    errand = form.errand()
    try:
        bulk.check(project, errand)
    except ValidationError as error:
        return _refused(request, form, error.messages)
    if form.asks_first:
        context = {
            "project": project, "section": "questions", "errand": errand, "form": form,
            "back": form.back(), "total": errand.rows(project).count(),
            "filters": form.sought().in_words(),
        }  # fmt: skip
        return render(request, "curation/bulk_confirm.html", context)
    outcome = bulk.send(project, errand, request.user)
    if isinstance(outcome, Job):
        return redirect(outcome)
    messages.success(request, f"{errand.deed}: {outcome}.")
    return redirect(form.back())


def _refused(request: Request, form: BulkForm, words: list[str]) -> HttpResponse:
    messages.error(request, " ".join(words))
    return redirect(form.back())
