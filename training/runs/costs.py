"""What a run costs: each host by the hour, an endpoint by the token.

Prices are what each host was told (`HOST_PRICE_CPU`, `HOST_PRICE_GPU`, an hour, in
`PRICE_CURRENCY`) when it took the run, kept with the attempt, and what a model's row said per
million tokens when the run began: a new price changes no old bill. Without a price there is no
figure, rather than 0.

The engine tells of tokens while it works, so a run that failed or was cancelled has its bill too.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings

from training.models import Run

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
    of_tokens = token_cost(run)
    return [*host_costs(run), *([of_tokens] if of_tokens else [])]


def host_costs(run: Run) -> list[Cost]:
    """A line for each host and price. The waits between attempts cost nothing."""
    took: dict[tuple[str, float, str], timedelta] = defaultdict(timedelta)
    for attempt in run.attempts.all():
        if attempt.price is not None:
            took[attempt.host, attempt.price, attempt.currency] += attempt.took
    return [
        Cost(f"{host}, {price:g} {currency} an hour", span / HOUR * price, currency)
        for (host, price, currency), span in took.items()
    ]


def unpriced_hosts(run: Run) -> list[str]:
    """Hosts that had no price when they took the run, each once."""
    hosts = [attempt.host for attempt in run.attempts.all() if attempt.price is None]
    return list(dict.fromkeys(hosts))


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
    prices = told_of_tokens(run).get("prices")
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
