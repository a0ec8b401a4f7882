"""Making a queue, a preview and a version out of everything that the real files hold."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from benchmarks._project import files_in, fresh_installation


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    files = files_in(arguments.data)
    with fresh_installation():
        from django.core.management import call_command

        from curation.models import Project, Queue
        from curation.queues.contents import Filter, fill
        from training.versions.freezing import freeze, preview
        from training.versions.recipe import Recipe

        project = Project.objects.create(slug="bench", name="Bench")
        for file in files:
            call_command("import", "bench", file, verbosity=0)
        queue = Queue.objects.create(
            project=project, name="All", filter=Filter(min=1).stored(), ordering="random"
        )
        everything, correct = Recipe(), Recipe(selection="correct")
        rows = [
            timed("fill a queue in random order", lambda: fill(queue)),
            timed("preview: everything", lambda: preview(project, everything)["rationales"]),
            timed("preview: correct only", lambda: preview(project, correct)["rationales"]),
            timed(
                "freeze: correct only",
                lambda: freeze(project, correct, None).counts["rationales"],
            ),
        ]
    show(rows)
    return {"deeds": rows}


def timed(name: str, deed: Callable[[], int]) -> dict[str, Any]:
    began = time.perf_counter()
    count = deed()
    return {"deed": name, "rows": count, "seconds": round(time.perf_counter() - began, 2)}


def show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("deed", "rows", "seconds")
    for row in rows:
        table.add_row(row["deed"], f"{row['rows']:,}", str(row["seconds"]))
    Console().print(table)
