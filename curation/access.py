"""The one gate: every view reaches a project's objects through here.

A stranger is told that the page does not exist; a member whose role is too small is told so.
"""

from __future__ import annotations

import rules
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery, Value
from django.http import Http404

from curation.models import Membership, Project, Role, User


def role_in(user: User, project: Project) -> str | None:
    """The user's role; a superuser is an owner everywhere."""
    if user.is_superuser:
        return Role.OWNER
    found = Membership.objects.filter(user=user, project=project).values_list("role", flat=True)
    return found.first()


def with_role(projects: QuerySet[Project], user: User) -> QuerySet[Project]:
    """The projects, each with the user's `my_role` as `role_in` says it."""
    mine = Membership.objects.filter(user=user, project=OuterRef("pk")).values("role")[:1]
    role = Value(Role.OWNER.value) if user.is_superuser else Subquery(mine)
    return projects.annotate(my_role=role)


def _has_role(*roles: str) -> rules.Predicate:
    @rules.predicate
    def predicate(user: User, project: Project | None) -> bool:
        if project is None:
            return False
        role = getattr(project, "my_role", None) or role_in(user, project)
        return role in roles

    return predicate


OWNERS = _has_role(Role.OWNER)
RESEARCHERS = _has_role(Role.OWNER, Role.RESEARCHER)
ANNOTATORS = _has_role(Role.OWNER, Role.RESEARCHER, Role.ANNOTATOR)
MEMBERS = _has_role(*Role.values)

# What may be done, and by whom. Templates ask with `{% has_perm "curation.x" user project %}`.
rules.add_perm("curation.view_project", MEMBERS)
rules.add_perm("curation.annotate", ANNOTATORS)
rules.add_perm("curation.research", RESEARCHERS)
rules.add_perm("curation.own", OWNERS)


def get_project_for(user: User, slug: str, permission: str = "curation.view_project") -> Project:
    """The project, if `user` may do `permission` in it.

    Raises Http404 for strangers (they do not learn that it exists) and PermissionDenied for
    members whose role does not allow it. `project.my_role` is set for the templates.
    """
    project = with_role(Project.objects.visible_to(user), user).filter(slug=slug).first()
    if project is None:
        raise Http404("There is no such project among yours.")
    if not user.has_perm(permission, project):
        raise PermissionDenied("Your role in this project does not allow that.")
    return project
