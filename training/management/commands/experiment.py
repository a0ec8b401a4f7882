"""`manage.py experiment PROJECT`: the same deed as the form, for a terminal or a script."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from curation.models import Project
from training.experiments.advance import advance_far
from training.experiments.deeds import begin, usual_plan, worries
from training.experiments.plan import ExperimentPlan
from training.experiments.standing import sentence
from training.management.commands.launch import model_of, parsed
from training.models import Experiment, ExperimentStatus, Run, RunStatus
from training.runs import workers
from training.runs.inline import Unfinished, see_through, speak_only_of_trouble

POLL = 1.0


class Command(BaseCommand):
    help = "Begin an experiment: sample, judge, train, evaluate, and again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="The project's short name, as in its address.")
        parser.add_argument("--name", default="")
        parser.add_argument("--start", required=True, help="Name of the model, or NAME@REVISION.")
        parser.add_argument("--plan", type=Path, help="A JSON file with a plan.")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="Of the plan; settings.KEY=VALUE of its method.",
        )
        parser.add_argument("--by-hand", action="store_true", help="Each stage waits for a person.")
        parser.add_argument("--wait", action="store_true", help="Follow it to its end.")
        parser.add_argument(
            "--here", action="store_true", help="Do its work in this process, without a broker."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        experiment = begun(options)
        plan = ExperimentPlan.model_validate(experiment.plan)
        for words in worries(experiment.project, plan):
            self.stderr.write(words)
        self.stdout.write(f"Experiment {experiment.pk}: {experiment.get_absolute_url()}")
        if options["here"]:
            speak_only_of_trouble()
            work_here(experiment)
        elif options["wait"]:
            self.follow(experiment)
        else:
            return
        experiment.refresh_from_db()
        self.stdout.write(f"It is {experiment.status}. {experiment.note}".strip())
        if experiment.status != ExperimentStatus.DONE:
            sys.exit(1)

    def follow(self, experiment: Experiment) -> None:
        """Say where it stands whenever that changes, until it runs no more."""
        if not workers.anyone_alive("cpu"):
            self.stderr.write(
                "No cpu worker is alive, so nothing moves it. "
                "Start one: python manage.py work --queue cpu --beat"
            )
        told = ""
        while experiment.status == ExperimentStatus.RUNNING:
            words = sentence(experiment, experiment.iterations.select_related("queue").last())
            if words != told:
                self.stdout.write(words)
            told = words
            time.sleep(POLL)
            experiment.refresh_from_db()


def begun(options: dict[str, Any]) -> Experiment:
    """The stored experiment. Raises `CommandError` in words."""
    project = Project.objects.filter(slug=options["project"]).first()
    if project is None:
        known = ", ".join(Project.objects.values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"There is no project {options['project']!r}; there are: {known}.")
    name = options["name"] or f"Experiment {project.experiments.count() + 1}"
    start = model_of(project, options["start"])
    try:
        by_itself = not options["by_hand"]
        return begin(project, name, start, plan_of(project, options), by_itself=by_itself)
    except ValidationError as error:
        faults = [f"{field}: {' '.join(words)}" for field, words in error.message_dict.items()]
        raise CommandError("\n".join(faults)) from error


def plan_of(project: Project, options: dict[str, Any]) -> dict[str, Any]:
    """What suits the project, over it the file, over both what was set."""
    given = read_plan(options["plan"]) if options["plan"] else {}
    settings: dict[str, Any] = {}
    for name, value in map(parsed, options["set"]):
        if name.startswith("settings."):
            settings[name.removeprefix("settings.")] = value
        else:
            given[name] = value
    usual = usual_plan(project, str(given.get("method") or ""))
    own = {**usual["settings"], **given.get("settings", {}), **settings}
    return {**usual, **given, "settings": own}


def read_plan(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"The plan {path} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise CommandError(f"The plan {path} is no JSON object.")
    return found


def work_here(experiment: Experiment) -> None:
    """Deeds and runs by turns, in this process, until nothing moves: it is over, or waits for
    people."""
    console = Console(stderr=True)
    while True:
        moved = advance_far(experiment.pk)
        queued = Run.objects.filter(
            iteration_run__iteration__experiment=experiment, status=RunStatus.QUEUED
        )
        runs = list(queued)
        if runs:
            try:
                see_through(runs, console)
            except Unfinished:
                continue  # the next deed says in words what failed
        elif not moved:
            return
