"""A request that the database left in the middle is begun once more.

PostgreSQL restarts, fails over, or breaks a deadlock: whoever was waiting for a page would get an
error for it. What only reads is repeated here, and so is what says of itself that it may be
(`curation.requests.repeatable`); the pool waits until a connection is there. Other deeds are not
done twice: they answer with the error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError, close_old_connections
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

LEFT = "stillroom.database_left"
TRIES = 3
SAFE = {"GET", "HEAD", "OPTIONS"}
# Shutdown, crash, starting up; deadlock, serialization. A connection that broke has no code.
CODES = {None, "57P01", "57P02", "57P03", "40P01", "40001"}


class OnceMore:
    """The outermost middleware but for metrics, so that all within begins afresh."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for _ in range(TRIES):
            if not request.META.pop(LEFT, False) or not may_be_repeated(request):
                break
            close_old_connections()
            vars(request).pop("_cached_user", None)
            response = self.get_response(request)
        return response


def may_be_repeated(request: HttpRequest) -> bool:
    """Whether it only reads, never came to its view, or the view says so."""
    if request.method in SAFE or request.resolver_match is None:
        return True
    return getattr(request.resolver_match.func, "repeatable", False)


@receiver(got_request_exception)
def note(sender: Any, request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Called while the error is at hand, before it becomes an answer."""
    if request is not None and has_left(sys.exc_info()[1]):
        request.META[LEFT] = True


def has_left(error: BaseException | None) -> bool:
    """Whether this says that the database went away or gave the transaction up."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    code = getattr(error.__cause__, "sqlstate", None)
    return code in CODES or str(code).startswith("08")
