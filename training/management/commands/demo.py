"""`manage.py demo`: the demo project; with `--headless` the whole loop, and a table at its end."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import IO, Any, cast

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from training.demo import loop, seed
from training.management.commands.launch import parsed
from training.runs.inline import Unfinished, speak_only_of_trouble

COLUMNS = {
    "accuracy": "accuracy, greedy",
    "sampled_accuracy": "sampled",
    "valid_chain_share": "valid chains",
    "length_ratio": "length ratio",
    "similarity": "similarity",
    "distinct_derivations": "derivations",
    "vendi": "Vendi",
    "seconds": "seconds",
}


class Command(BaseCommand):
    help = "Make the demo project, or go through the whole loop in the terminal (--headless)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--headless", action="store_true", help="Go through the whole loop, without a browser."
        )
        parser.add_argument("--json", type=Path, metavar="FILE", help="Write the results there.")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="METHOD.KEY=VALUE",
            help="Vary a setting of the headless demo, such as cotd_po.kappa=20.",
        )
        parser.add_argument("--seeds", type=int, default=1, help="How many passages; default 1.")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(file=cast("IO[str]", self.stdout), soft_wrap=True)
        if not console.is_terminal:
            console.width = 150  # a log has no width of its own
        speak_only_of_trouble()
        call_command("migrate", verbosity=0)  # whoever types this first has no tables yet
        try:
            if options["headless"]:
                methods = varied(options["set"])
                self.headless(console, options["seeds"], methods, options["json"])
            elif not seed.is_seeded():
                console.print("Making the demo project (once, less than a minute) …")
                seed.seed(console)
        except Unfinished as error:
            raise CommandError(str(error)) from error

    def headless(
        self, console: Console, seeds: int, methods: loop.Methods, file: Path | None
    ) -> None:
        if seeds < 1:
            raise CommandError("--seeds is 1 or more.")
        if file and not file.parent.is_dir():
            raise CommandError(f"There is no folder {file.parent} to write {file.name} into.")
        results = loop.passages(seeds, methods, console)
        if file:
            file.write_text(json.dumps(results, indent=1) + "\n")
        console.print(table(results))


def varied(pairs: list[str]) -> loop.Methods:
    """The demo's settings, with those that were given in their place."""
    methods = {name: dict(config) for name, config in loop.METHODS.items()}
    for pair in pairs:
        name, value = parsed(pair)
        method, _, key = name.partition(".")
        if method not in methods or not key:
            known = ", ".join(methods)
            raise CommandError(
                f"--set takes METHOD.KEY=VALUE with a method of {known}, not {pair!r}."
            )
        methods[method][key] = value
    return methods


def table(results: loop.Row) -> Table:
    """Means over the seeds, with the standard deviation where there are several."""
    seeds = results["seeds"]
    title = f"{loop.TEST} held-out questions, {seeds} seed{'s' * (seeds > 1)}, "
    shown = Table("checkpoint", title=f"{title}{results['seconds']:.0f} s")
    for heading in COLUMNS.values():
        shown.add_column(heading, justify="right")
    for name, figures in loop.averages(results["rows"]):
        cells = [cell(*figures[column], digits(column), seeds) for column in COLUMNS]
        shown.add_row(name, *cells)
    return shown


def digits(column: str) -> int:
    return {"seconds": 0, "accuracy": 3, "sampled_accuracy": 3, "valid_chain_share": 3}.get(
        column, 2
    )


def cell(mean: float, deviation: float, digits: int, seeds: int) -> str:
    text = f"{mean:.{digits}f}"
    return text if seeds == 1 else f"{text} ± {deviation:.{digits}f}"
