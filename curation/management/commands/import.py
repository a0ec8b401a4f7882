"""`manage.py import PROJECT FILE`: the same import as in the browser, with a progress bar."""

from __future__ import annotations

import uuid
from argparse import ArgumentParser
from pathlib import Path
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from django.utils.text import slugify
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table as Grid

from curation.ingest import mapping
from curation.ingest.load import Loader
from curation.ingest.plan import Plan, begin
from curation.ingest.readers import Table
from curation.ingest.record import UnreadableFile
from curation.ingest.report import Report
from curation.models import Project, Split

SHOWN = 20


class Command(BaseCommand):
    help = "Import questions, with or without rationales, from JSONL, JSON, CSV or parquet."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", metavar="PROJECT", help="The project's slug.")
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--mapping", type=Path, help='A JSON file: {"field": "role", …}.')
        parser.add_argument("--source", default="", help="Default: the file's name.")
        parser.add_argument("--split", default="", choices=["", *Split.values], metavar="NAME")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="WHO=NAME",
            help="Whose the unnamed texts are: teacher=…, student=…, human=…",
        )
        parser.add_argument("--create", action="store_true", help="Make the project if it is new.")
        parser.add_argument(
            "--left-out", type=Path, metavar="FILE", help="Write every row left out here, as JSONL."
        )

    def handle(self, *args: Any, project: str, file: Path, **options: Any) -> None:
        try:
            report = self.run(project_named(project, options["create"]), file, options)
        except UnreadableFile as error:
            raise CommandError(f"{file}: {error}") from error
        except OSError as error:
            raise CommandError(f"{error.filename} cannot be opened: {error.strerror}.") from error
        self.tell(report)
        if report.left_out_total == report.rows:
            raise CommandError(f"{file}: no row could be taken in.")

    def run(self, project: Project, file: Path, options: dict[str, Any]) -> Report:
        """Load the file under a progress bar."""
        fields = mapping_in(options["mapping"]) if options["mapping"] else {}
        plan = Plan(
            file=str(file),
            name=file.name,
            mapping=fields,
            split=options["split"],
            source=options["source"],
            names=names_in(options["set"]),
        )
        sink = options["left_out"].open("wb") if options["left_out"] else None
        with file.open("rb") as source, progress_bar(self.console()) as bar:
            table = Table(source, file.name)
            reading, rows = begin(plan, table)
            task = bar.add_task(file.name, total=None)
            loader = Loader(project, reading, uuid.uuid4(), sink)
            report = loader.load(
                rows,
                lambda report: bar.update(task, completed=report.rows, total=table.expected),
            )
            bar.update(task, completed=report.rows, total=report.rows)
        if sink:
            sink.close()
        self.stdout.write(f"{reading.shape.words}. Split: {reading.split}, {reading.split_from}.")
        return report

    def console(self) -> Console:
        return Console(file=cast("IO[str]", self.stdout), soft_wrap=True)

    def tell(self, report: Report) -> None:
        said = report.as_json()
        grid = Grid("rows", "questions added", "known", "rationales added", "known", "left out")
        counts = ("rows", "questions_added", "questions_known", "rationales_added",
                  "rationales_known", "left_out_total")  # fmt: skip
        grid.add_row(*(f"{said[name]:,}" for name in counts))
        self.console().print(grid)
        for note in said["notes"]:
            self.stdout.write(note)
        for row in said["left_out"][:SHOWN]:
            where = f"{row['field']} " if row["field"] else ""
            self.stdout.write(f"row {row['line']}: {where}{row['reason']}")
        if report.left_out_total > SHOWN:
            self.stdout.write(
                f"… and {report.left_out_total - SHOWN:,} more; --left-out names all."
            )


def progress_bar(console: Console) -> Progress:
    return Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def mapping_in(file: Path) -> dict[str, str]:
    """The fields of a mapping file. Raises CommandError, OSError."""
    try:
        return mapping.from_file(file.read_text(encoding="utf-8")).fields
    except UnicodeDecodeError as error:
        raise CommandError(f"The mapping {file} is not UTF-8 text.") from error


def project_named(slug: str, create: bool) -> Project:
    found = Project.objects.filter(slug=slug).first()
    if found is None and create:
        if slug != slugify(slug):
            raise CommandError(
                f"{slug!r} cannot be a project's address: small letters, digits and hyphens can."
            )
        return Project.objects.create(slug=slug, name=slug.replace("-", " ").capitalize())
    if found is None:
        known = ", ".join(Project.objects.values_list("slug", flat=True)[:20]) or "none yet"
        raise CommandError(
            f"There is no project {slug!r} (there are: {known}). Add --create to make it."
        )
    return found


def names_in(given: list[str]) -> dict[str, str]:
    """`["teacher=R1"]` → {"teacher": "R1"}."""
    pairs = [item.partition("=") for item in given]
    if bad := [who for who, _, name in pairs if not name]:
        raise CommandError(f"--set {bad[0]}: write it as teacher=NAME, student=NAME or human=NAME.")
    return {who: name for who, _, name in pairs}
