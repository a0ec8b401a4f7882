"""`manage.py push PROJECT OWNER/NAME`: a checkpoint or a dataset version to a model hub."""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from curation.models import DatasetVersion, Project
from training import hub
from training.export import export_format
from training.models import Checkpoint
from training.runs.storing import FileGone


class Command(BaseCommand):
    help = "Push a checkpoint or a dataset version with its card to a hub."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="The project's short name, as in its address.")
        parser.add_argument("repository", help="OWNER/NAME on the hub; made if it is not there.")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--run", type=int, help="Its last checkpoint, or that of --step.")
        what.add_argument("--dataset", type=int, help="The number of a dataset version.")
        parser.add_argument("--step", type=int)
        parser.add_argument("--format", default="sft", help="Of a dataset: an export format.")
        parser.add_argument("--public", action="store_true", help="Private unless given.")
        parser.add_argument("--out", type=Path, help="Lay the folder down here and send nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["out"]:
                lay_out(options, options["out"])
                self.stdout.write(f"{options['out']} holds what would be pushed.")
                return
            hub.check_repository(options["repository"])
            hub.refuse_offline()
            with tempfile.TemporaryDirectory(prefix="stillroom-push-") as folder:
                self.stdout.write(sent(options, Path(folder)))
        except (hub.NotPushed, FileGone, ValueError) as error:
            raise CommandError(str(error)) from error
        except ImportError as error:
            raise CommandError(
                "Pushing needs the package huggingface_hub, which the part [worker] brings."
            ) from error


def sent(options: dict[str, Any], folder: Path) -> str:
    """Lay down and upload; the address."""
    message = lay_out(options, folder)
    kind = "model" if options["run"] else "dataset"
    private = not options["public"]
    return hub.push(folder, options["repository"], kind, private=private, message=message)


def lay_out(options: dict[str, Any], folder: Path) -> str:
    """The folder of what was asked for; what it is, in words."""
    project = Project.objects.filter(slug=options["project"]).first()
    if project is None:
        raise CommandError(f"There is no project {options['project']!r}.")
    if options["run"]:
        checkpoint = checkpoint_of(project, options["run"], options["step"])
        hub.lay_out_checkpoint(checkpoint, folder)
        return f"{checkpoint} from Stillroom"
    version = DatasetVersion.objects.filter(project=project, number=options["dataset"]).first()
    if version is None:
        raise CommandError(f"There is no dataset version {options['dataset']} in this project.")
    try:
        export_format(options["format"])
    except KeyError as error:
        raise CommandError(str(error.args[0])) from error
    hub.lay_out_version(version, options["format"], folder)
    return f"{version} from Stillroom"


def checkpoint_of(project: Project, run: int, step: int | None) -> Checkpoint:
    """The run's newest checkpoint, or that of a step."""
    found = Checkpoint.objects.select_related("run__project", "model").filter(
        run__project=project, run=run
    )
    checkpoint = (found.filter(step=step) if step is not None else found).first()
    if checkpoint is None:
        at = f" at step {step}" if step is not None else ""
        raise CommandError(f"Run {run} of this project has no checkpoint{at}.")
    return checkpoint
