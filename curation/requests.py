"""A request as the views behind the login see it: somebody is logged in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from curation.models import User


class Request(HttpRequest):
    user: User
    htmx: HtmxDetails


View = TypeVar("View", bound=Callable[..., object])


def repeatable(view: View) -> View:
    """A POST that may be done twice and leaves the record as after one: where the database went
    away in the middle, `config.once_more` does it again instead of answering with an error."""
    view.repeatable = True  # type: ignore[attr-defined]
    return view


def whole_number(given: str | None) -> int | None:
    """A number in an address; None for what is no number, or too large to be a key."""
    found = given or ""
    return int(found) if found.isascii() and found.isdigit() and len(found) < 19 else None
