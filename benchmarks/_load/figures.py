"""From samples to figures: p50, p95, p99 beside the load average they were measured under."""

from __future__ import annotations

import os
import statistics
import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from benchmarks._load import people
from benchmarks._load.session import Sample

# Milliseconds at the 95th percentile.
AIMS = {
    people.CLAIM: 150,
    people.SUBMIT: 200,
    people.SUBMIT_PLAIN: 200,
    people.LIST: 400,
    people.PAGE_N: 400,
    people.RATIONALES: 400,
    people.SEARCH: 800,
    people.SEARCH_RATIONALES: 800,
    people.QUESTION: 300,
}


class LoadAverage(threading.Thread):
    """Looks at the load average (of one minute) every few seconds until it is stopped."""

    def __init__(self, every: float = 3.0) -> None:
        super().__init__(daemon=True)
        self.every, self.seen, self._over = every, [os.getloadavg()[0]], threading.Event()

    def run(self) -> None:
        while not self._over.wait(self.every):
            self.seen.append(os.getloadavg()[0])

    def stop(self) -> dict[str, float]:
        self._over.set()
        return {"mean": round(statistics.fmean(self.seen), 1), "highest": round(max(self.seen), 1)}


def summary(samples: Iterable[Sample], load: dict[str, float]) -> list[dict[str, Any]]:
    """A row for each kind of request that was answered."""
    spent: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        if sample.status < 500:
            spent[sample.what].append(sample.seconds * 1000)
    order = [*AIMS, people.DRAFT, people.AHEAD]
    known = sorted(spent, key=lambda what: order.index(what) if what in order else len(order))
    return [_row(what, sorted(spent[what]), load["mean"]) for what in known]


def _row(what: str, spent: list[float], load: float) -> dict[str, Any]:
    row: dict[str, Any] = {"what": what, "requests": len(spent)}
    row |= {f"p{share}_ms": round(percentile(spent, share), 1) for share in (50, 95, 99)}
    row |= {"slowest_ms": round(spent[-1], 1), "load_average": load}
    if what in AIMS:
        row |= {"aim_p95_ms": AIMS[what], "met": row["p95_ms"] <= AIMS[what]}
    return row


def percentile(ordered: list[float], share: float) -> float:
    """Linear between the two nearest ranks."""
    place = (len(ordered) - 1) * share / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def show(title: str, rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("request", title=title)
    for name in ("requests", "p50", "p95", "p99", "aim of p95"):
        table.add_column(name, justify="right")
    for row in rows:
        colour = "" if row.get("met", True) else "[red]"
        table.add_row(
            row["what"],
            f"{row['requests']:,}",
            f"{row['p50_ms']:,.0f}",
            f"{colour}{row['p95_ms']:,.0f}",
            f"{row['p99_ms']:,.0f}",
            str(row.get("aim_p95_ms", "")),
        )
    Console().print(table)
