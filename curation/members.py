"""Who is in a project: added, given another role, removed. A project is never without an owner."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from curation.models import Membership, Project, Role, User


def find_user(named: str) -> User:
    """Whom a name or an email address means. Raises ValidationError in words."""
    named = named.strip()
    found = list(
        User.objects.filter(Q(username=named) | Q(email__iexact=named), is_active=True)[:2]
    )
    if not found:
        raise ValidationError(
            f"Nobody here is called “{named}”. People make their own accounts, or an "
            "administrator makes one."
        )
    if len(found) > 1:
        raise ValidationError(f"Several people share “{named}”. Give the username.")
    return found[0]


@transaction.atomic
def add(project: Project, user: User, role: str) -> Membership:
    """Make the person a member. Raises ValidationError if they are one."""
    membership, is_new = Membership.objects.get_or_create(
        project=project, user=user, defaults={"role": role}
    )
    if not is_new:
        raise ValidationError(
            f"{user} is here already, as {membership.get_role_display().lower()}."
        )
    return membership


@transaction.atomic
def change_role(membership: Membership, role: str) -> None:
    """Give another role. Raises ValidationError if that leaves no owner."""
    if role not in Role.values:
        raise ValidationError("The role is owner, researcher, annotator or viewer.")
    held = _locked(membership)
    if role != Role.OWNER:
        _keep_an_owner(held)
    held.role = role
    held.save(update_fields=["role"])


@transaction.atomic
def remove(membership: Membership) -> None:
    """End a membership; what the person did stays. Raises ValidationError for the last owner."""
    held = _locked(membership)
    _keep_an_owner(held)
    held.delete()


def _locked(membership: Membership) -> Membership:
    """The project's row is the lock: two owners cannot remove each other at once."""
    Project.objects.select_for_update().get(pk=membership.project_id)
    return Membership.objects.select_related("user").get(pk=membership.pk)


def _keep_an_owner(membership: Membership) -> None:
    others = Membership.objects.filter(project_id=membership.project_id, role=Role.OWNER)
    if membership.role == Role.OWNER and not others.exclude(pk=membership.pk).exists():
        raise ValidationError(
            f"{membership.user} is the last owner. Make somebody else an owner first."
        )
