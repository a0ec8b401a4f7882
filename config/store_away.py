"""The artifact store does not answer or refuses: a page says so, instead of a failure of ours.

The record lies in the database and is whole; what cannot be shown for now is what lies in files:
logs, groups of completions, downloads, uploads.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from curation import store_away

log = structlog.get_logger()


class StoreAway:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The page, where the error is the store's; any other is left to Django."""
        if not isinstance(error, (store_away.StoreAway, store_away.StoreRefuses)):
            return None
        refused = isinstance(error, store_away.StoreRefuses)
        log.warning("artifact_store_away", refused=refused, error=str(error))
        return render(request, "503.html", {"refused": refused}, status=503)
