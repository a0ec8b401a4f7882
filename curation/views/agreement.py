"""Agreement: the stored figures of a queue or a project, and the questions behind each.

Researchers and owners see names; everybody else sees the whole, and annotators themselves
against the rest.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from curation.access import get_project_for
from curation.agreement.items import Between, groups_behind, pairs_behind
from curation.agreement.page import WINDOWS, report
from curation.messages import send
from curation.models import LanguageModel, Project, Queue, User, Window
from curation.requests import Request


def agreement(request: Request, slug: str, pk: int | None = None) -> HttpResponse:
    project, queue = _scope(request, slug, pk)
    window = request.GET.get("window", Window.ALL)
    window = window if window in WINDOWS else Window.ALL
    sees_names = request.user.has_perm("curation.research", project)
    found = report(project, queue, window, None if sees_names else request.user)
    asked = _moment(request.GET.get("asked", ""))
    context = _base(project, queue) | {
        "report": found,
        "window": window,
        "windows": WINDOWS,
        "sees_names": sees_names,
        "may_measure": sees_names,
        "is_awaited": bool(asked and (not found.computed_at or found.computed_at < asked)),
        "asked": request.GET.get("asked", ""),
    }
    page = "curation/agreement.html"
    return render(request, f"{page}#figures" if request.htmx else page, context)


@require_POST
def agreement_measure(request: Request, slug: str, pk: int | None = None) -> HttpResponse:
    """Have the figures computed now."""
    project = get_project_for(request.user, slug, "curation.research")
    queue = get_object_or_404(project.queues, pk=pk) if pk else None
    scope = (project.pk, queue.pk if queue else None)
    if not send("curation.tasks.measure_agreement", scope, queue="cpu"):
        messages.error(request, "No worker can be told just now. Try again when one is running.")
        return HttpResponseRedirect(_address(project, queue))
    messages.info(request, "The figures are being computed; the page shows them when they are.")
    asked = timezone.now().strftime("%Y%m%d%H%M%S")
    return HttpResponseRedirect(f"{_address(project, queue)}?asked={asked}")


def agreement_items(request: Request, slug: str, pk: int | None = None) -> HttpResponse:
    """The questions behind a figure: `person`, `other`, `model`, `week` say which."""
    project, queue = _scope(request, slug, pk)
    sees_names = request.user.has_perm("curation.research", project)
    between = _between(request)
    if not sees_names:
        between = Between(person=request.user.pk if between != Between() else None)
    if between == Between():
        lines = groups_behind(project, queue, None if sees_names else request.user)
    else:
        lines = pairs_behind(project, queue, between)
    context = _base(project, queue) | {
        "lines": lines,
        "of_pairs": between != Between(),
        "sides": _sides(project, between),
        "week": between.week,
        "sees_names": sees_names,
    }
    return render(request, "curation/agreement_items.html", context)


def _scope(request: Request, slug: str, pk: int | None) -> tuple[Project, Queue | None]:
    project = get_project_for(request.user, slug)
    return project, get_object_or_404(project.queues, pk=pk) if pk else None


def _base(project: Project, queue: Queue | None) -> dict[str, Any]:
    here = _address(project, queue)
    return {
        "project": project,
        "section": "queues" if queue else "agreement",
        "queue": queue,
        "here": here,
        "items_url": f"{here}items/",
        "measure_url": f"{here}measure/",
    }


def _address(project: Project, queue: Queue | None) -> str:
    if queue:
        return reverse("queue-agreement", args=[project.slug, queue.pk])
    return reverse("agreement", args=[project.slug])


def _between(request: Request) -> Between:
    keys = {name: _key(request.GET.get(name, "")) for name in ("person", "other", "model")}
    return Between(**keys, week=_week(request.GET.get("week", "")))


def _key(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _week(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _moment(text: str) -> datetime | None:
    try:
        return timezone.make_aware(datetime.strptime(text, "%Y%m%d%H%M%S"), UTC)
    except ValueError:
        return None


def _sides(project: Project, between: Between) -> list[str]:
    """The names of those compared, as far as they belong to the project."""
    people = User.objects.filter(pk__in=[k for k in (between.person, between.other) if k])
    names = [str(person) for person in people.filter(memberships__project=project)]
    models = LanguageModel.objects.filter(project=project, pk=between.model or 0)
    return names + [str(model) for model in models]
