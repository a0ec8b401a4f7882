"""A request as the views behind the login see it: somebody is logged in."""

from __future__ import annotations

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from curation.models import User


class Request(HttpRequest):
    user: User
    htmx: HtmxDetails


def whole_number(given: str | None) -> int | None:
    """A number in an address; None for what is no number, or too large to be a key."""
    found = given or ""
    return int(found) if found.isascii() and found.isdigit() and len(found) < 19 else None
