"""How fast the real files are taken in, and what scoring them costs a worker afterwards."""

from __future__ import annotations

import argparse
import time
import uuid
from pathlib import Path
from typing import Any

from benchmarks._project import files_in, fresh_installation


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    files = files_in(arguments.data)
    with fresh_installation():
        from curation.models import Project, Rationale
        from training.runs import scoring

        scoring.send = lambda *args, **kwargs: True  # as if a worker took the scoring over
        project = Project.objects.create(slug="bench", name="Bench")
        rows = [taken_in(project, file) for file in files]
        ids = list(Rationale.objects.values_list("pk", flat=True))
        began = time.perf_counter()
        scoring.score(ids)
        per_second = len(ids) / (time.perf_counter() - began)
    show(rows, len(ids), per_second)
    return {"files": rows, "rationales": len(ids), "scored_per_second": round(per_second)}


def taken_in(project: Any, file: Path) -> dict[str, Any]:
    """One file through the importer that the job and the command use."""
    from curation.ingest.load import Loader
    from curation.ingest.plan import Plan, begin
    from curation.ingest.readers import Table

    began = time.perf_counter()
    with file.open("rb") as source:
        reading, rows = begin(Plan(file=str(file), name=file.name), Table(source, file.name))
        report = Loader(project, reading, uuid.uuid4()).load(rows, lambda report: None)
    seconds = time.perf_counter() - began
    return {
        "file": file.name,
        "rows": report.rows,
        "questions_added": report.questions_added,
        "rationales_added": report.rationales_added,
        "left_out": report.left_out_total,
        "seconds": round(seconds, 2),
        "rationales_per_second": round(report.rationales_added / seconds),
    }


def show(rows: list[dict[str, Any]], rationales: int, per_second: float) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*rows[0])
    for row in rows:
        table.add_row(
            *(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values())
        )
    console = Console()
    console.print(table)
    console.print(f"Scoring all {rationales:,} rationales: {per_second:,.0f} a second.")
