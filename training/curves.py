"""The points of a run's curves, few enough to draw: at most a thousand per metric and answer.

A long run is thinned by its steps into buckets, of which the lowest and the highest value stay, so
that a spike is never smoothed away.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db.models import F, Max, Min

from training.models import Metric, Run

MOST_POINTS = 1000
Series = dict[str, list[list[float | None]]]


def curves(run: Run, names: list[str], after: int) -> dict[str, Any]:
    """`{"series": {name: [[steps], [values]]}, "last": step}` of the steps later than `after`."""
    found = Metric.objects.filter(run=run, step__gt=after)
    if names:
        found = found.filter(name__in=names)
    last = found.aggregate(last=Max("step"))["last"]
    if last is None:
        return {"series": {}, "last": after}
    first = found.aggregate(first=Min("step"))["first"]
    stride = -(-2 * (last - first + 1) // MOST_POINTS)
    series = plain(found) if last - first < MOST_POINTS else thinned(found, first, stride)
    return {"series": series, "last": last}


def plain(found: Any) -> Series:
    series: Series = defaultdict(lambda: [[], []])
    for name, step, value in found.order_by("step").values_list("name", "step", "value"):
        series[name][0].append(step)
        series[name][1].append(value)
    return series


def thinned(found: Any, first: int, stride: int) -> Series:
    """Two points a bucket: its lowest and its highest value."""
    series: Series = defaultdict(lambda: [[], []])
    buckets = (
        found.annotate(bucket=(F("step") - first) / stride)
        .values("name", "bucket")
        .annotate(low=Min("value"), high=Max("value"), start=Min("step"), end=Max("step"))
        .order_by("bucket")
    )
    for bucket in buckets:
        steps, values = series[bucket["name"]]
        steps += [bucket["start"], bucket["end"]]
        values += [bucket["low"], bucket["high"]]
    return series


def metric_names(run: Run) -> list[str]:
    """Loss and reward first, the rest by name."""
    names = Metric.objects.filter(run=run).order_by("name").values_list("name", flat=True)
    found = list(names.distinct())
    first = [name for name in ("loss", "reward_mean") if name in found]
    return first + [name for name in found if name not in first]
