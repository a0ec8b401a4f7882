"""`manage.py export PROJECT VERSION`: a dataset version as a folder that other trainers read."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from curation.models import DatasetVersion
from training.export import export_format, formats
from training.management.commands.snapshot import find_project, pairs
from training.versions.exporting import export_version


class Command(BaseCommand):
    help = "Write a dataset version in a format that other trainers read."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="its slug")
        parser.add_argument("version", type=int, help="its number")
        parser.add_argument("--format", default="sft", help=", ".join(formats()))
        parser.add_argument("--out", type=Path, required=True, help="a new or empty folder")
        parser.add_argument("--parquet", action="store_true", help="parquet instead of JSONL")
        parser.add_argument(
            "--set",
            nargs="+",
            action="extend",
            default=[],
            metavar="key=value",
            help="an option of the format; lists as a,b",
        )

    def handle(self, **given: Any) -> None:
        project = find_project(given["project"])
        version = DatasetVersion.objects.filter(project=project, number=given["version"]).first()
        if version is None:
            raise CommandError(f"The project {project.slug} has no version {given['version']}.")
        name, folder = given["format"], given["out"]
        try:
            options = options_from(name, pairs(given["set"]))
            report = export_version(version, name, options, folder, given["parquet"])
        except (ValueError, OSError) as error:
            raise CommandError(str(error)) from error
        for split, rows in report.rows.items():
            self.stdout.write(f"{folder / report.files[split]}: {rows:,} rows")
        for reason, n in report.left_out.most_common():
            self.stdout.write(f"  left out: {reason} ({n:,})")


def options_from(name: str, values: dict[str, str]) -> dict[str, Any]:
    """Texts to options; `a,b` becomes a list where the option is one."""
    try:
        fields = export_format(name).Config.model_fields
    except KeyError as error:
        raise ValueError(error.args[0]) from error
    lists = {key for key, f in fields.items() if typing.get_origin(f.annotation) is list}
    return {key: text.split(",") if key in lists else text for key, text in values.items()}
