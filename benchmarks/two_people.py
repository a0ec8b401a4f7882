"""A team's whole way in real browsers: two people judge, an adjudicator decides, a version is made.

GSM8K's model solutions, four a question, through a queue with overlap 2. One person works by
keyboard alone, one with the mouse; they judge by the same rule with a noise of their own
(`--seed`). An adjudicator decides every group they order differently. What the people remember
has to be what the agreement page shows and what the dataset versions hold; a difference ends the
run.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from benchmarks._load.figures import LoadAverage
from benchmarks._project import fresh_installation

FILE = "gsm8k_model_solutions.jsonl"
ALL = 1_319


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--questions", type=int, default=ALL)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=45, help="at most, for the judging")
    parser.add_argument("--port", type=int, default=8752)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    source = arguments.data / FILE
    if not source.exists():
        raise SystemExit(f"{FILE} is not in {arguments.data}; name its folder with --data.")
    load = LoadAverage()
    with fresh_installation():
        result = walked(arguments, source, load)
    show(result)
    return {"seed": arguments.seed, "load_average": load.stop(), **result}


def walked(arguments: argparse.Namespace, source: Path, load: LoadAverage) -> dict[str, Any]:
    from benchmarks._load.site import web
    from benchmarks._load.walk import cast_of, take_in, walk
    from curation.models import Project

    project = Project.objects.create(slug="gsm8k", name="GSM8K's model solutions")
    taken_in = take_in(project, source, arguments.questions)
    load.start()
    with web(arguments.port, Path(os.environ["STILLROOM_VAR"]) / "web.log"):
        url = f"http://127.0.0.1:{arguments.port}"
        walked = walk(url, project, cast_of(project), arguments.seed, arguments.minutes)
    return taken_in | walked


def show(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "judged", "seconds an item", "acts an item")
    for one in result["people"]:
        table.add_row(
            one["hand"],
            f"{one['judged']:,}",
            f"{one['seconds_an_item']:.2f}",
            f"{one['keys_or_clicks_and_drags_an_item']:.1f}",
        )
    decided = f"{result['decided']:,}", f"{result['seconds_a_decision']:.2f}"
    table.add_row("adjudicator", *decided, "")
    console = Console()
    console.print(table)
    for version in result["versions"]:
        console.print(
            f"Version with adjudicated={version['decisions_of_adjudicators']}: "
            f"{version['winners']:,} winners, and exactly these."
        )
