"""What an iteration has taken: time, tokens and money of all its runs, also of those that failed or
were cancelled and that another took the place of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta

from training.models import Run, RunKind
from training.reports.telling import elapsed
from training.runs.costs import Cost, costs, tokens_drawn


@dataclass(frozen=True)
class Spent:
    time: timedelta = timedelta()
    tokens: int = 0  # drawn for samples, judging and evaluation; not within a training
    costs: list[Cost] = field(default_factory=list)  # one a currency
    runs: int = 0


def spent_on(runs: Collection[Run]) -> Spent:
    """Until now, of those that are under way."""
    amounts: dict[str, float] = defaultdict(float)
    for run in runs:
        for cost in costs(run):
            amounts[cost.currency] += cost.amount
    return Spent(
        time=sum((elapsed(run) or timedelta() for run in runs), timedelta()),
        tokens=sum(tokens_drawn(run) for run in runs if run.kind != RunKind.TRAIN),
        costs=[Cost("runs", amount, currency) for currency, amount in amounts.items()],
        runs=len(runs),
    )
