"""Who may make an account: nobody by themselves, unless the operator opens sign-up."""

from __future__ import annotations

from typing import NamedTuple

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest

from curation.models import User


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return bool(settings.SIGNUP_OPEN)


class DemoLogin(NamedTuple):
    name: str
    password: str
    role: str
    may: str


MAY = {
    "owner": "everything, and says who is a member",
    "researcher": "imports, queues, versions, runs, exports",
    "annotator": "ranks and accepts what the queues hand out",
    "viewer": "looks at everything, changes nothing",
}


def demo_logins() -> list[DemoLogin]:
    """The demo's people, where the demo has been made: on an installation of the embedded kind
    alone, for their passwords are no secret."""
    if not settings.EMBEDDED:
        return []
    names = [name for name, _, _ in settings.DEMO_LOGINS]
    here = set(User.objects.filter(username__in=names).values_list("username", flat=True))
    return [
        DemoLogin(name, password, role, MAY[role])
        for name, password, role in settings.DEMO_LOGINS
        if name in here
    ]
