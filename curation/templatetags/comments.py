"""`{% comments rationale %}`: the comments on a rationale, with the place to write one.

The page's context holds `project`, `question`, `request` and `blind`; one query serves all
rationales of the question.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.template.context import Context

from curation.models import Rationale
from curation.review.commenting import comments_on

register = template.Library()


@register.inclusion_tag("curation/comments.html", takes_context=True)
def comments(context: Context, rationale: Rationale) -> dict[str, Any]:
    request, question, blind = context["request"], context["question"], context["blind"]
    key, seen = f"comments {question.pk}", context.render_context
    if key not in seen:
        seen[key] = comments_on(question, request.user, blind)
    names_shown = context.get("names_shown", True)
    return {
        "request": request,
        "csrf_token": context.get("csrf_token"),
        "project": context["project"],
        "pk": rationale.pk,
        "comments": seen[key].get(rationale.pk, []),
        "names_hidden": blind or not names_shown,
    }
