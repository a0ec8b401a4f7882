"""What templates say in one word: texts of models and people, figures, times, the navigation."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import template
from django.conf import settings
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from curation.accounts import DemoLogin
from curation.accounts import demo_logins as demo_people
from curation.models import Project, User
from curation.text import rendering

register = template.Library()

NOTICES = {"error": "bad", "warning": "warn", "success": "ok"}


@register.filter
def rationale(thought: str | None) -> SafeString:
    """What a model or a person wrote, as safe HTML: steps on their lines, mathematics marked."""
    return rendering.rationale(thought or "")


@register.filter
def markdown(text: str | None) -> SafeString:
    """Guidelines and descriptions, written as Markdown by members of the project."""
    return rendering.markdown(text or "")


@register.filter
def shown(text: str | None) -> str:
    """A question or a thought on one line, as a person should read it: without calculator marks."""
    return rendering.without_marks(text or "")


@register.filter
def percent(share: float | None, digits: int = 1) -> str:
    """`0.7312` → `73.1 %`."""
    return "—" if share is None else f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


@register.filter
def percents_whole(text: str) -> str:
    """A sentence in which no line ends between a number and its per cent sign."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


@register.simple_tag
def interval(low: float | None, high: float | None, digits: int = 1) -> str:
    """The bounds of an estimated share: `70.2–75.9 %`; nothing where there are none."""
    if low is None or high is None:
        return ""
    return f"{100 * low:.{digits}f}–{percent(high, digits)}"


@register.filter
def duration(span: timedelta | float | None) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`; takes a timedelta or seconds."""
    if span is None:
        return "—"
    seconds = max(span.total_seconds() if isinstance(span, timedelta) else span, 0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


@register.filter
def notice(level_tag: str) -> str:
    """The class of a notice for the level of a Django message."""
    return NOTICES.get(level_tag, "")


@register.simple_tag(takes_context=True)
def nav_link(context: dict[str, Any], url_name: str, words: str, sections: str) -> SafeString:
    """A link to a section of the project, marked where `section` is one of `sections`."""
    here = context.get("section") in sections.split()
    href = reverse(url_name, args=[context["project"].slug])
    return format_html(
        '<a href="{}"{}>{}</a>', href, SafeString(' aria-current="page"' if here else ""), words
    )


@register.simple_tag(takes_context=True)
def my_projects(context: dict[str, Any]) -> list[Project]:
    """The projects that the reader may switch to; the rest is under "All projects"."""
    user: User = context["request"].user
    return list(Project.objects.visible_to(user).filter(archived_at=None)[:20])


@register.simple_tag
def demo_logins() -> list[DemoLogin]:
    """The logins that the sign-in page of a demo names."""
    return demo_people()


@register.simple_tag
def signup_is_open() -> bool:
    return bool(settings.SIGNUP_OPEN)
