"""Members of a project: seen by researchers, changed by owners."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from curation import members
from curation.access import get_project_for
from curation.forms.project import MemberForm
from curation.models import Role
from curation.requests import Request


def member_list(request: Request, slug: str) -> HttpResponse:
    """The members; a POST adds one."""
    permission = "curation.own" if request.method == "POST" else "curation.research"
    project = get_project_for(request.user, slug, permission)
    form = MemberForm(request.POST or None)
    if form.is_valid() and _added(request, project, form):
        return redirect("members", project.slug)
    context = {
        "project": project,
        "section": "members",
        "form": form,
        "roles": Role.choices,
        "memberships": project.memberships.select_related("user").order_by(
            "role", "user__username"
        ),
    }
    return render(request, "curation/member_list.html", context)


def _added(request: Request, project: members.Project, form: MemberForm) -> bool:
    try:
        membership = members.add(project, form.cleaned_data["user"], form.cleaned_data["role"])
    except ValidationError as error:
        form.add_error("user", error)
        return False
    role = membership.get_role_display().lower()
    messages.success(request, f"{membership.user} is now here as {role}.")
    return True


@require_POST
def member_role(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug, "curation.own")
    membership = get_object_or_404(project.memberships, pk=pk)
    role = request.POST.get("role", "")
    return _done(
        request, slug, lambda: members.change_role(membership, role), f"{membership.user}: {role}."
    )


@require_POST
def member_remove(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug, "curation.own")
    membership = get_object_or_404(project.memberships.select_related("user"), pk=pk)
    words = f"{membership.user} was removed. What they did stays."
    return _done(request, slug, lambda: members.remove(membership), words)


def _done(request: Request, slug: str, deed: Callable[[], None], words: str) -> HttpResponse:
    """Do it, and say how it went."""
    try:
        deed()
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, words)
    return redirect("members", slug)
