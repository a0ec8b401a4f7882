"""Projects: the list of mine, a project's home, its settings."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Count, Manager, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from curation.access import get_project_for, with_role
from curation.forms.project import ProjectForm
from curation.funnel import funnel, suggestions
from curation.models import Membership, Project, Question, Rationale, Role
from curation.requests import Request
from curation.work import last_activity, latest_work


def project_list(request: Request) -> HttpResponse:
    """The projects of this person; archived ones apart."""
    mine = with_role(Project.objects.visible_to(request.user), request.user)
    projects = mine.annotate(
        asked=counted(Question.objects, "project"),
        written=counted(Rationale.objects, "question__project"),
        last_activity=last_activity(),
    )
    context = {
        "projects": projects.filter(archived_at=None),
        "archived": projects.exclude(archived_at=None),
    }
    return render(request, "curation/project_list.html", context)


def counted(rows: Manager[Any], project: str) -> Coalesce:
    """How many of these rows a project has; `project` leads from them to it."""
    found = rows.filter(**{project: OuterRef("pk")}).order_by().values(project)
    return Coalesce(Subquery(found.annotate(n=Count("pk")).values("n")), 0)


def project_new(request: Request) -> HttpResponse:
    """Whoever makes a project owns it."""
    form = ProjectForm(request.POST or None)
    if form.is_valid():
        with transaction.atomic():
            form.instance.created_by = request.user
            project = form.save()
            Membership.objects.create(project=project, user=request.user, role=Role.OWNER)
        return redirect(project)
    return render(request, "curation/project_form.html", {"form": form})


def project_home(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug)
    context = {
        "project": project,
        "section": "home",
        "steps": funnel(project),
        "suggestions": suggestions(project, request.user),
        "works": latest_work(project),
    }
    return render(request, "curation/project_home.html", context)


def project_settings(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug, "curation.own")
    if request.method == "POST" and "archive" in request.POST:
        return _archived(request, project)
    form = ProjectForm(request.POST or None, instance=project)
    if form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect(project)
    context = {"project": project, "section": "settings", "form": form}
    return render(request, "curation/project_settings.html", context)


def _archived(request: Request, project: Project) -> HttpResponse:
    """An archived project is left out of the list and can be taken back; nothing is deleted."""
    wanted = request.POST["archive"] == "yes"
    project.archived_at = timezone.now() if wanted else None
    project.save(update_fields=["archived_at"])
    messages.success(request, "Archived." if wanted else "Taken back from the archive.")
    return redirect("projects")
