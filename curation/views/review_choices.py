"""A person's keys of the review page, and a project's reasons for its verdicts."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from curation.access import get_project_for
from curation.forms.review_choices import KeysForm, ReasonsForm
from curation.requests import Request
from curation.review import keys


def review_keys(request: Request, slug: str) -> HttpResponse:
    """Kept with the account: the keys are the same in every project and on every computer."""
    project = get_project_for(request.user, slug, "curation.annotate")
    if request.method == "POST" and "reset" in request.POST:
        keys.keep(request.user, {})
        messages.success(request, "All keys are as they were at first.")
        return redirect("review-keys", project.slug)
    form = KeysForm(request.POST or None, user=request.user)
    if form.is_valid():
        form.save()
        messages.success(request, "Your keys are saved, here and on every other computer.")
        return redirect("review-keys", project.slug)
    context = {"project": project, "section": "review", "form": form}
    status = 422 if form.errors else 200
    return render(request, "curation/review_keys.html", context, status=status)


def reasons(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug, "curation.own")
    form = ReasonsForm(request.POST or None, project=project)
    if form.is_valid():
        form.save()
        messages.success(request, "The reasons are saved.")
        return redirect("reasons", project.slug)
    context = {"project": project, "section": "settings", "form": form}
    return render(request, "curation/review_reasons.html", context)
