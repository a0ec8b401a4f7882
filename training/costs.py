"""What a run costs: its host by the hour, an endpoint by the token.

Prices are what the operator says (`HOST_PRICE_CPU`, `HOST_PRICE_GPU`, an hour, in `PRICE_CURRENCY`)
and what a model's row says per million tokens. Without a price there is no figure, rather than 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings

from training.models import Run
from training.telling import elapsed

HOUR = timedelta(hours=1)
MILLION = 1_000_000


@dataclass(frozen=True)
class Cost:
    """One line of the bill: what, how much of it, and the price."""

    what: str
    amount: float
    currency: str

    def __str__(self) -> str:
        digits = 2 if self.amount >= 0.1 or self.amount == 0 else 4
        return f"{self.amount:,.{digits}f} {self.currency}"


def costs(run: Run) -> list[Cost]:
    """What is known of it; empty without prices."""
    return [cost for cost in (host_cost(run), token_cost(run)) if cost is not None]


def host_cost(run: Run) -> Cost | None:
    """From the first start to the end or until now: waiting between attempts is in it."""
    price, took = settings.HOST_PRICES.get(run.host_class), elapsed(run)
    if not price or took is None:
        return None
    what = f"{run.get_host_class_display()}, {price:g} {settings.PRICE_CURRENCY} an hour"
    return Cost(what, took / HOUR * price, settings.PRICE_CURRENCY)


def token_cost(run: Run) -> Cost | None:
    """What an endpoint was asked and said, by the prices of its model's row."""
    used = run.result.get("usage") or {}
    prices = run.student.prices if run.student else {}
    if not used or not prices:
        return None
    amount = sum(float(used.get(part) or 0) * price_of(prices, part) for part in used) / MILLION
    tokens = sum(int(count or 0) for count in used.values())
    currency = str(prices.get("currency") or settings.PRICE_CURRENCY)
    return Cost(f"{tokens:,} tokens of {run.student}", amount, currency)


def price_of(prices: dict[str, Any], part: str) -> float:
    """A million tokens of a part, prompt or completion."""
    try:
        return float(prices.get(part) or 0)
    except (TypeError, ValueError):
        return 0.0
