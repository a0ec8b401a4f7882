"""The list of projects and a project's home page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from curation.access import get_project_for
from curation.models import Project


def project_list(request: HttpRequest) -> HttpResponse:
    projects = Project.objects.visible_to(request.user).filter(archived_at=None)
    return render(request, "curation/project_list.html", {"projects": projects})


def project_home(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug)
    return render(request, "curation/project_home.html", {"project": project})
