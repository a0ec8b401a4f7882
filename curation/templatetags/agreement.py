"""A figure of agreement and its interval, in as many digits as its kind has meaning."""

from __future__ import annotations

from django import template

from curation.models import Figure, Measure

register = template.Library()

NONE = "–"


@register.filter
def figure(one: Figure | None) -> str:
    """`0.73`, `84 %`, `31 s`; a dash where the data do not define it."""
    return NONE if one is None else _said(one, one.value)


@register.filter(name="range")
def interval(one: Figure | None) -> str:
    """`0.70 to 0.76`; a dash where there are too few questions."""
    if one is None or one.low is None or one.high is None:
        return NONE
    return f"{_said(one, one.low)} to {_said(one, one.high)}"


def _said(one: Figure, value: float | None) -> str:
    if value is None:
        return NONE
    if one.measure == Measure.SECONDS:
        return f"{value:.0f}\N{NO-BREAK SPACE}s"
    if one.measure == Measure.GOLD:
        return f"{100 * value:.0f}\N{NO-BREAK SPACE}%"
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
