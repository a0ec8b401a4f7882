"""`manage.py launch PROJECT KIND`: the same deed as the form, for a terminal or a script."""

from __future__ import annotations

import contextlib
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from curation.models import DatasetVersion, LanguageModel, Project
from training.forms.runs import warnings_about
from training.models import HostClass, Preset, Rehearsal, Run, RunKind, RunStatus
from training.runs import workers
from training.runs.inline import Unfinished, see_through, speak_only_of_trouble
from training.runs.launch import launch, request_cancel
from training.runs.plans import config_class
from training.runs.rehearsing import ask_for_rehearsal, perform


class Command(BaseCommand):
    help = "Launch a run: generate, score, train or evaluate."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="The project's short name, as in its address.")
        parser.add_argument("kind", choices=RunKind.values)
        parser.add_argument("--method", default="", help="For train: sft, cotd_po, grpo …")
        parser.add_argument("--preset", default="", help="Begin with the settings of this preset.")
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
        parser.add_argument(
            "--rehearse",
            action="store_true",
            help="Launch nothing: show the rows, the masks, what is too long, memory and time.",
        )
        parser.add_argument(
            "--tokens-only", action="store_true", help="With --rehearse: load the tokenizer alone."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["tokens_only"] and not options["rehearse"]:
            raise CommandError("--tokens-only goes with --rehearse.")
        if options["rehearse"]:
            return self.rehearse(options)
        run = launched(options)
        self.stdout.write(f"Run {run.pk}: {run.get_absolute_url()}")
        self.warn(run.kind, run.method, run.config)
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

    def rehearse(self, options: dict[str, Any]) -> None:
        """In this process, without a worker; exit 1 if the run would be refused."""
        rehearsal = rehearsed(options)
        perform(rehearsal.pk)
        rehearsal.refresh_from_db()
        if rehearsal.error:
            raise CommandError(rehearsal.error)
        self.stdout.write(rehearsal.found["printed"])
        self.warn("train", rehearsal.method, rehearsal.config)

    def warn(self, kind: str, method: str, config: dict[str, Any]) -> None:
        """What is outside its usual range."""
        for words in warnings_about(config_class(kind, method), config):
            self.stderr.write(f"Note: {words}")

    def report(self, run: Run) -> None:
        run.refresh_from_db()
        self.stdout.write(f"Run {run.pk} is {run.status}. {run.error}".strip())
        if run.status != RunStatus.DONE:
            sys.exit(1)


def launched(options: dict[str, Any]) -> Run:
    """The stored run. Raises `CommandError` in words."""
    project, asked = asked_for(options)
    with in_words():
        return launch(project, options["kind"], **asked, enqueue=not options["here"])


def rehearsed(options: dict[str, Any]) -> Rehearsal:
    """The stored rehearsal. Raises `CommandError` in words."""
    if options["kind"] != RunKind.TRAIN:
        raise CommandError(f"Only a train run can be rehearsed, not a {options['kind']} run.")
    project, asked = asked_for(options)
    measured = not options["tokens_only"]
    with in_words():
        return ask_for_rehearsal(project, **asked, measured=measured, enqueue=False)


def asked_for(options: dict[str, Any]) -> tuple[Project, dict[str, Any]]:
    """The project, and the arguments of a launch. Raises `CommandError` in words."""
    project = Project.objects.filter(slug=options["project"]).first()
    if project is None:
        known = ", ".join(Project.objects.values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"There is no project {options['project']!r}; there are: {known}.")
    preset = preset_of(project, options)
    method = options["method"] or (preset.method if preset else "")
    config = settings_of(options)
    return project, {
        "method": method,
        "config": {**preset.config, **config} if preset else config,
        "dataset": dataset_of(project, options["dataset"]),
        "student": model_of(project, options["model"]),
        "seed": options["seed"],
        "host_class": options["host"],
        "name": options["name"],
    }


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """What is refused, field by field, as the command's own error."""
    try:
        yield
    except ValidationError as error:
        faults = [f"{field}: {' '.join(words)}" for field, words in error.message_dict.items()]
        raise CommandError("\n".join(faults)) from error


def preset_of(project: Project, options: dict[str, Any]) -> Preset | None:
    """The preset of that name. Raises `CommandError` if it is none, or one of something else."""
    if not options["preset"]:
        return None
    preset = Preset.objects.filter(project=project, name=options["preset"]).first()
    if preset is None:
        known = ", ".join(map(str, project.presets.all())) or "none yet"
        raise CommandError(f"There is no preset {options['preset']!r}; there are: {known}.")
    of, wanted = (preset.kind, preset.method), (options["kind"], options["method"] or preset.method)
    if of != wanted:
        raise CommandError(f"The preset {preset} is for {' '.join(of).strip()}.")
    return preset


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
