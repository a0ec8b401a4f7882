"""`{% onward rationale as pages %}`: words and address of each page that other apps have of it."""

from __future__ import annotations

from typing import Any

from django import template

from curation.models import Rationale
from curation.onward import pages_about

register = template.Library()


@register.simple_tag(takes_context=True)
def onward(context: dict[str, Any], rationale: Rationale) -> list[tuple[str, str]]:
    return pages_about(context["project"].slug, rationale)
