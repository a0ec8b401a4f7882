"""Words that the pages of runs need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template

register = template.Library()


@register.filter
def at(found: Mapping[str, Any], name: str) -> Any:
    """The entry of that name; None if there is none."""
    return found.get(name)


@register.filter
def figure(value: float | None) -> str:
    """A number of any size in four digits: `0.8123`, `1.2e-05`, `150,000,000`."""
    if value is None:
        return "—"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


@register.filter
def points(difference: float) -> str:
    """A difference of two shares in percentage points: `−3.1`."""
    return f"{100 * difference:.1f} pp".replace("-", "\N{MINUS SIGN}")
