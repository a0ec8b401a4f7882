"""Where a rationale's card leads, beyond what curation knows.

Other apps add pages about one rationale with `register`, so that curation knows nothing of them.
"""

from __future__ import annotations

from django.urls import reverse

from curation.models import Rationale

_pages: list[tuple[str, str]] = []


def register(words: str, url_name: str) -> None:
    """Add a page whose address takes the project's slug and the rationale's key."""
    if (words, url_name) not in _pages:
        _pages.append((words, url_name))


def pages_about(slug: str, rationale: Rationale) -> list[tuple[str, str]]:
    """The words and the address of each."""
    return [(words, reverse(name, args=[slug, rationale.pk])) for words, name in _pages]
