"""The points of a run's curves, few enough to draw, quick however many there are.

A long run is thinned by its steps into buckets, of which the lowest and the highest value stay,
each at its own step, so that a spike is never smoothed away and never moved. Names and last steps
are read by jumping through the index, not by reading the run's rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db import connection

from training.models import Metric, Run

MOST_POINTS = 600  # of one metric: a chart is not wider than that
MOST_STEPS = 2**31 - 1
Series = dict[str, list[list[float | None]]]
Names = list[tuple[str, list[str]]]

# The charts in groups, each metric in the first that knows it; what none knows is the method's own.
GROUPS: list[tuple[str, tuple[str, ...]]] = [
    ("Learning", ("loss", "listwise", "nll", "grad_norm", "learning_rate")),
    ("Preferences", ("accuracy", "margin", "logprob_chosen", "logprob_rejected")),
    ("Rewards", ("reward_mean", "reward_std", "groups_skipped", "groups", "groups_compared")),
    ("Probe", ("probe_accuracy",)),
    ("Lengths", ("completion_tokens", "truncated_share")),
    (
        "Policy",
        ("kl", "entropy", "effective_samples", "drift", "ratio", "clipped_low", "clipped_high"),
    ),
    ("Host", ("tokens_per_second", "seconds", "drawing_seconds", "memory_bytes")),
]
SHOWN_FIRST = (
    "loss",
    "reward_mean",
    "probe_accuracy",
    "completion_tokens",
    "kl",
    "entropy",
    "memory_bytes",
)

NAMES = """
WITH RECURSIVE found AS (
  (SELECT name FROM training_metric WHERE run_id = %(run)s ORDER BY name LIMIT 1)
  UNION ALL
  SELECT (SELECT name FROM training_metric
          WHERE run_id = %(run)s AND name > found.name ORDER BY name LIMIT 1)
  FROM found WHERE found.name IS NOT NULL
)
SELECT found.name, (SELECT max(step) FROM training_metric m
                    WHERE m.run_id = %(run)s AND m.name = found.name)
FROM found WHERE found.name IS NOT NULL
"""
# Arrays compare by their first entry, so the least array is the least value with its step.
THINNED = """
SELECT name, (step - %(first)s) / %(stride)s AS bucket,
       min(ARRAY[value, step::float8]), max(ARRAY[value, step::float8])
FROM training_metric
WHERE run_id = %(run)s AND name = ANY(%(names)s) AND step > %(after)s AND value IS NOT NULL
GROUP BY 1, 2 ORDER BY 1, 2
"""
MEANS = """
SELECT name, min(step), avg(value), bool_or(value IS NULL)
FROM training_metric WHERE run_id = %(run)s AND name = ANY(%(names)s)
GROUP BY name, (step - 1) / %(stride)s ORDER BY name, 2
"""

CLOCK = """
SELECT step, passed FROM (
  SELECT step, sum(coalesce(value, 0)) OVER (ORDER BY step) AS passed
  FROM training_metric WHERE run_id = %(run)s AND name = 'seconds'
) AS clock WHERE step = ANY(%(steps)s::int[])
"""


def curves(run: Run, names: Sequence[str], after: int) -> dict[str, Any]:
    """`{"series": {name: [[steps], [values]]}, "last": step}` of the steps later than `after`.

    `names` are the wanted metrics; without any it is all of them.
    """
    last_steps = last_step_by_name(run)
    wanted = [name for name in names if name in last_steps] or list(last_steps)
    last = max((last_steps[name] for name in last_steps), default=after)
    after = min(after, MOST_STEPS)
    if last <= after:
        return {"series": {}, "last": after}
    steps = last - max(after, 0)
    series = (
        plain(run, wanted, after) if steps <= MOST_POINTS else thinned(run, wanted, after, last)
    )
    return {"series": series, "last": last}


def last_step_by_name(run: Run) -> dict[str, int]:
    """Every metric of the run, and where it ends."""
    with connection.cursor() as cursor:
        cursor.execute(NAMES, {"run": run.pk})
        return dict(cursor.fetchall())


def plain(run: Run, names: Sequence[str], after: int) -> Series:
    series: Series = defaultdict(lambda: [[], []])
    found = Metric.objects.filter(run=run, name__in=names, step__gt=after).order_by("name", "step")
    for name, step, value in found.values_list("name", "step", "value"):
        series[name][0].append(step)
        series[name][1].append(value)
    return dict(series)


def thinned(run: Run, names: Sequence[str], after: int, last: int) -> Series:
    """Two points a bucket: its lowest and its highest value, each where it was."""
    first = max(after, 0) + 1
    stride = -(-2 * (last - first + 1) // MOST_POINTS)
    given: Any = {
        "run": run.pk,
        "names": list(names),
        "after": after,
        "first": first,
        "stride": stride,
    }
    series: Series = defaultdict(lambda: [[], []])
    with connection.cursor() as cursor:
        cursor.execute(THINNED, given)
        for name, _, low, high in cursor.fetchall():
            steps, values = series[name]
            for value, step in sorted({tuple(low), tuple(high)}, key=lambda point: point[1]):
                steps.append(int(step))
                values.append(value)
    return dict(series)


def means(run: Run, names: Sequence[str], most: int = 200) -> dict[str, list[tuple[int, Any]]]:
    """Each curve as means over at most `most` stretches; None where any value was no number."""
    last = max(last_step_by_name(run).values(), default=0)
    given: Any = {"run": run.pk, "names": list(names), "stride": max(1, -(-last // most))}
    found: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(MEANS, given)
        for name, step, mean, broken in cursor.fetchall():
            found[name].append((step, None if broken else mean))
    return dict(found)


def seconds_by_step(run: Run, steps: Sequence[float | None]) -> dict[int, float]:
    """How long the run had worked when each of these steps ended, without the waits between
    attempts."""
    with connection.cursor() as cursor:
        cursor.execute(CLOCK, {"run": run.pk, "steps": list(steps)})
        return {step: round(passed, 2) for step, passed in cursor.fetchall()}


def grouped_names(found: Any) -> Names:
    """The metrics there are, in their groups. Means of single rewards stand among the rewards."""
    left = set(found)
    groups: Names = []
    for title, known in GROUPS:
        mine = [name for name in known if name in left]
        if title == "Rewards":
            mine += sorted(name for name in left if name.endswith("_mean") and name not in mine)
        left -= set(mine)
        groups.append((title, mine))
    groups.append(("Of the method", sorted(left - {"groups"})))
    return [(title, names) for title, names in groups if names]


def last_values(run: Run) -> list[tuple[str, list[dict[str, Any]]]]:
    """Each metric's last figure, for the page without a chart."""
    steps = last_step_by_name(run)
    wanted = Metric.objects.filter(run=run, name__in=steps, step__in=set(steps.values()))
    values = {(m.name, m.step): m.value for m in wanted}
    return [
        (
            title,
            [{"name": n, "step": steps[n], "value": values.get((n, steps[n]))} for n in names],
        )
        for title, names in grouped_names(steps)
    ]
