"""Size M: how long the loader takes, and how large the database is then.

`make bench ARGS="size_m --var FOLDER"` keeps it in FOLDER for the load test;
`--questions 10000` makes a tenth of it, `--median 400` as many rows with short texts.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks._load.sizes import M, Size
from benchmarks._load.texts import MEDIAN, Texts
from benchmarks._project import installation

SLUG = "size-m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--var", type=Path, default=Path("/tmp/stillroom-size-m"))
    parser.add_argument("--questions", type=int, default=M)
    parser.add_argument("--median", type=int, default=MEDIAN, help="characters of a rationale")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    with installation(arguments.var):
        return loaded(Size.of(arguments.questions), arguments.median)


def loaded(size: Size, median: int) -> dict[str, Any]:
    """Load the project, unless it is there already at this size."""
    from curation.models import Project

    known = Project.objects.filter(slug=SLUG).first()
    if known is not None:
        there = known.options.get("loaded", {})
        if (there.get("size"), there.get("median")) != (size.told(), median):
            raise SystemExit("Another size was loaded here; name an empty folder with --var.")
        return dict(there)
    return _load(size, median)


def _load(size: Size, median: int) -> dict[str, Any]:
    from django.db import connection

    from benchmarks._load.record import check, load

    project, done = load(size, SLUG, Texts(seed=1, median=median))
    drifted = check(project)
    if drifted:
        raise SystemExit("The loader kept wrong figures: " + "; ".join(drifted[:5]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        (large,) = cursor.fetchone()
    result = {"size": size.told(), "median": median, "stages": done}
    result["database_mb"] = round(large / 1024**2)
    result["seconds"] = round(sum(stage["seconds"] for stage in done), 1)
    project.options |= {"loaded": result}
    project.save(update_fields=["options"])
    return result
