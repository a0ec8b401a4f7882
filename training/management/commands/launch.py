"""`manage.py launch PROJECT KIND`: the same deed as the form, for a terminal or a script."""

from __future__ import annotations

import contextlib
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from curation.models import DatasetVersion, LanguageModel, Project
from training import workers
from training.inline import Unfinished, see_through, speak_only_of_trouble
from training.launch import launch, request_cancel
from training.models import HostClass, Run, RunKind, RunStatus


class Command(BaseCommand):
    help = "Launch a run: generate, score, train or evaluate."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="The project's short name, as in its address.")
        parser.add_argument("kind", choices=RunKind.values)
        parser.add_argument("--method", default="", help="For train: sft, cotd_po, grpo …")
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
        parser.add_argument("--model", help="Name of the model, or NAME@REVISION.")
        parser.add_argument("--dataset", type=int, help="Number of the dataset version.")
        parser.add_argument("--split", help="Short for --set split=…")
        parser.add_argument("--limit", help="Short for --set limit=…")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--host", default="", choices=["", *HostClass.values])
        parser.add_argument("--name", default="")
        parser.add_argument("--wait", action="store_true", help="Follow it; exit 1 if it fails.")
        parser.add_argument(
            "--here", action="store_true", help="Run it in this process, without a broker."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        run = launched(options)
        self.stdout.write(f"Run {run.pk}: {run.get_absolute_url()}")
        if options["here"]:
            speak_only_of_trouble()
            with contextlib.suppress(Unfinished):  # the report below says how it ended
                see_through([run], Console(stderr=True))
        elif options["wait"]:
            if not workers.anyone_alive(run.host_class):
                self.stderr.write(
                    f"No {run.host_class} worker is alive, so the run waits. "
                    f"Start one: python manage.py work --queue {run.host_class}"
                )
            follow(run)
        else:
            return
        self.report(run)

    def report(self, run: Run) -> None:
        run.refresh_from_db()
        self.stdout.write(f"Run {run.pk} is {run.status}. {run.error}".strip())
        if run.status != RunStatus.DONE:
            sys.exit(1)


def launched(options: dict[str, Any]) -> Run:
    """The stored run. Raises `CommandError` in words."""
    project = Project.objects.filter(slug=options["project"]).first()
    if project is None:
        known = ", ".join(Project.objects.values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"There is no project {options['project']!r}; there are: {known}.")
    try:
        return launch(
            project,
            options["kind"],
            method=options["method"],
            config=settings_of(options),
            dataset=dataset_of(project, options["dataset"]),
            student=model_of(project, options["model"]),
            seed=options["seed"],
            host_class=options["host"],
            name=options["name"],
            enqueue=not options["here"],
        )
    except ValidationError as error:
        faults = [f"{field}: {' '.join(words)}" for field, words in error.message_dict.items()]
        raise CommandError("\n".join(faults)) from error


def settings_of(options: dict[str, Any]) -> dict[str, Any]:
    """The config as given: `--set`, `--split`, `--limit`. JSON is read as such, else text."""
    config = dict(parsed(pair) for pair in options["set"])
    for name in ("split", "limit"):
        if options[name] is not None:
            config[name] = options[name]
    return config


def parsed(pair: str) -> tuple[str, Any]:
    import json

    name, mark, text = pair.partition("=")
    if not mark:
        raise CommandError(f"--set takes KEY=VALUE, not {pair!r}.")
    try:
        return name, json.loads(text)
    except ValueError:
        return name, text.split(",") if "," in text else text


def model_of(project: Project, named: str | None) -> LanguageModel | None:
    """A model by name; the newest if several revisions bear it."""
    if not named:
        return None
    name, _, revision = named.partition("@")
    found = LanguageModel.objects.filter(project=project, name=name)
    found = found.filter(revision=revision) if revision else found
    model = found.order_by("-id").first()
    if model is None:
        known = ", ".join(map(str, LanguageModel.objects.filter(project=project))) or "none yet"
        raise CommandError(f"There is no model {named!r} in this project; there are: {known}.")
    return model


def dataset_of(project: Project, number: int | None) -> DatasetVersion | None:
    if number is None:
        return None
    version = DatasetVersion.objects.filter(project=project, number=number).first()
    if version is None:
        raise CommandError(f"There is no dataset version {number} in this project.")
    return version


def follow(run: Run) -> None:
    """Show progress until the run is over. Ctrl-C cancels it."""
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}")]
    columns += [TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(run.status, total=None, count="")
        try:
            while not run.is_over:
                time.sleep(0.5)
                run.refresh_from_db()
                done, total = run.progress.get("done", 0), run.progress.get("total")
                count = f"{done}/{total} {run.progress['unit']}" if total else ""
                progress.update(
                    task, description=run.status, completed=done, total=total, count=count
                )
        except KeyboardInterrupt:
            request_cancel(run)
            progress.console.print("Asked the run to stop after saving a checkpoint.")
