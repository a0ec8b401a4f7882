"""How long a run's page takes among a hundred long runs: the server's time and the bytes sent.

Measured by the test client, so with templates and queries and without a network: the whole page,
its polled parts, the points of the charts that are shown first, of one more metric, of what is new
since the last look, and of one metric in eight runs beside each other.
"""

from __future__ import annotations

import argparse
import statistics
import time
from math import ceil
from typing import Any

from benchmarks._project import fresh_installation

VISITS = 15
TARGET_MS = 400
NAMES = (
    "loss", "reward_mean", "reward_std", "probe_accuracy", "completion_tokens", "truncated_share",
    "kl", "entropy", "grad_norm", "learning_rate", "groups", "groups_skipped", "seconds",
    "drawing_seconds", "tokens_per_second", "memory_bytes", "clipped_low", "clipped_high", "ratio",
    "advantage_size",
)  # fmt: skip
FILL = """
INSERT INTO training_metric (run_id, step, name, value)
SELECT %(run)s, step, name, 1 / (1 + step / 1000.0) + 0.1 * random()
FROM unnest(%(names)s::text[]) AS name, generate_series(1, %(steps)s) AS step
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--series", type=int, default=20)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    with fresh_installation():
        began = time.perf_counter()
        runs = loaded(arguments)
        seconds = time.perf_counter() - began
        rows = [timed(*visit) for visit in visits(runs)]
        size = on_disk()
    show(rows)
    asked = {"runs": arguments.runs, "steps": arguments.steps, "series": arguments.series}
    loaded_in = {"load_seconds": round(seconds, 1), "metric_table_bytes": size}
    return {"target_ms": TARGET_MS, "visits": VISITS, **asked, **loaded_in, "addresses": rows}


def loaded(arguments: argparse.Namespace) -> list[Any]:
    """A project with so many runs and their metrics, and statistics, as autovacuum would."""
    from django.db import connection

    from curation.models import LanguageModel, Membership, Project, User
    from training.methods import methods
    from training.models import Run

    user = User.objects.create_user("bench", password="bench")
    project = Project.objects.create(slug="long", name="Long runs", created_by=user)
    Membership.objects.create(project=project, user=user, role="owner")
    student = LanguageModel.objects.create(
        project=project, name="student", provider="local", uri="training/demo/student"
    )
    version = version_of(project)
    config = methods()["grpo"].Config().model_dump(mode="json")
    runs = Run.objects.bulk_create(
        Run(
            project=project, kind="train", method="grpo", config=config, student=student,
            dataset=version, seed=number, name=f"long {number}", status="done",
        )
        for number in range(arguments.runs)
    )  # fmt: skip
    names = list(NAMES[: arguments.series])
    names += [f"own_{n}" for n in range(arguments.series - len(names))]
    with connection.cursor() as cursor:
        for made in runs:
            given = {"run": made.pk, "names": names, "steps": arguments.steps}
            cursor.execute(FILL, given)
        cursor.execute("VACUUM ANALYZE training_metric")
    return list(runs)


def version_of(project: Any) -> Any:
    from curation.models import DatasetVersion

    return DatasetVersion.objects.create(
        project=project, number=1, recipe={}, sha256="0" * 64, file="nowhere.jsonl"
    )


def visits(runs: list[Any]) -> list[tuple[str, str, bool]]:
    """What is measured: words, address, and whether htmx asks."""
    from urllib.parse import urlencode

    from django.urls import reverse

    from training.models import Metric
    from training.reports.curves import SHOWN_FIRST

    made = runs[len(runs) // 2]
    slug = made.project.slug
    page = reverse("run", args=[slug, made.pk])
    points = reverse("run-metrics", args=[slug, made.pk])
    last = Metric.objects.filter(run=made, name="loss").latest("step").step
    eight = urlencode([("run", one.pk) for one in runs[:8]])
    curves = reverse("run-compare-curves", args=[slug])
    first = ",".join(SHOWN_FIRST)
    return [
        ("the whole page", page, False),
        ("its status, polled", f"{page}?part=status", True),
        ("its alarms, polled", f"{page}?part=alarms", True),
        ("points of the charts shown first", f"{points}?names={first}&after=-1", False),
        ("points of one metric", f"{points}?names=loss&after=-1", False),
        ("points of every metric", f"{points}?after=-1", False),
        ("what is new", f"{points}?names={first}&after={last - 2}", False),
        ("nothing new", f"{points}?names={first}&after={last}", False),
        ("the list", reverse("runs", args=[slug]), False),
        ("eight runs beside each other", f"{reverse('run-compare', args=[slug])}?{eight}", False),
        ("one metric in eight runs", f"{curves}?{eight}&metric=loss", False),
        ("the same by seconds", f"{curves}?{eight}&metric=loss&x=seconds", False),
    ]


def timed(words: str, address: str, by_htmx: bool) -> dict[str, Any]:
    """Median and 95th percentile of some visits after two that warm up, and the bytes sent."""
    from django.test import Client

    from curation.models import User

    client = Client(headers={"HX-Request": "true"} if by_htmx else {})
    client.force_login(User.objects.get(username="bench"))
    took = []
    for _ in range(VISITS + 2):
        began = time.perf_counter()
        answer = client.get(address, headers={"Host": "localhost"})
        took.append(1000 * (time.perf_counter() - began))
        assert answer.status_code == 200, (address, answer.status_code)
    kept = sorted(took[2:])
    return {
        "what": words,
        "median_ms": round(statistics.median(kept), 1),
        "p95_ms": round(kept[ceil(0.95 * len(kept)) - 1], 1),
        "bytes": len(answer.content),
    }


def on_disk() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size('training_metric')")
        (size,) = cursor.fetchone()
    return int(size)


def show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "median, ms", "p95, ms", "bytes")
    for row in rows:
        table.add_row(row["what"], str(row["median_ms"]), str(row["p95_ms"]), f"{row['bytes']:,}")
    Console().print(table)
