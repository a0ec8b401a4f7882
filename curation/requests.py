"""A request as the views behind the login see it: somebody is logged in."""

from __future__ import annotations

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from curation.models import User


class Request(HttpRequest):
    user: User
    htmx: HtmxDetails
