"""What a run costs: its host by the hour, an endpoint by the token.

Prices are what the operator says (`HOST_PRICE_CPU`, `HOST_PRICE_GPU`, an hour, in `PRICE_CURRENCY`)
and what a model's row says per million tokens: as it was when the run began, so that a new price
changes no old bill. Without a price there is no figure, rather than 0.

The engine tells of tokens while it works, so a run that failed or was cancelled has its bill too.
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


def told_of_tokens(run: Run) -> dict[str, Any]:
    """What the engine said at the end or, of a run that is under way or came to none, last."""
    ended = "usage" in run.result or "tokens" in run.result
    return run.result if ended else run.progress


def usage(run: Run) -> dict[str, int]:
    """Tokens that a judge or an endpoint read (`prompt`) and said (`completion`)."""
    found = told_of_tokens(run).get("usage") or {}
    return {part: int(count or 0) for part, count in found.items()}


def tokens_drawn(run: Run) -> int:
    """Tokens that were drawn for the run, whoever drew them; a prompt's are not among them."""
    return int(told_of_tokens(run).get("tokens") or usage(run).get("completion", 0))


def token_cost(run: Run) -> Cost | None:
    """What an endpoint was asked and said."""
    used = usage(run)
    prices = told_of_tokens(run).get("prices") or (run.student.prices if run.student else {})
    if not used or not prices:
        return None
    amount = sum(count * price_of(prices, part) for part, count in used.items()) / MILLION
    tokens = sum(used.values())
    currency = str(prices.get("currency") or settings.PRICE_CURRENCY)
    return Cost(f"{tokens:,} tokens of {run.student}", amount, currency)


def price_of(prices: dict[str, Any], part: str) -> float:
    """A million tokens of a part, prompt or completion."""
    try:
        return float(prices.get(part) or 0)
    except (TypeError, ValueError):
        return 0.0
