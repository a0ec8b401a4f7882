"""`manage.py snapshot PROJECT`: the next dataset version."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from pydantic import ValidationError

from curation.models import DatasetVersion, Project
from training.selection import selection, selections
from training.versions.freezing import freeze, twins
from training.versions.naming import names_in, with_names
from training.versions.recipe import Recipe, first_fault


class Command(BaseCommand):
    help = "Freeze what a recipe chooses as the project's next dataset version."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="its slug")
        parser.add_argument("--selection", default="everything", help=", ".join(selections()))
        parser.add_argument("--name", default="", help="a name for the version")
        parser.add_argument(
            "--set",
            nargs="+",
            action="extend",
            default=[],
            metavar="key=value",
            help="a field of the recipe or a setting of the selection; lists as a,b",
        )

    def handle(self, **given: Any) -> None:
        project = find_project(given["project"])
        try:
            recipe = recipe_from(given["selection"], pairs(given["set"]))
            version = freeze(project, recipe, None, given["name"])
        except ValidationError as error:
            raise CommandError(f"The recipe: {first_fault(error)}.") from error
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(told(version))


def find_project(slug: str) -> Project:
    """The project of a slug; a sentence with those there are if there is none."""
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        slugs = ", ".join(Project.objects.values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"There is no project {slug!r}; there are: {slugs}.")
    return project


def pairs(given: list[str]) -> dict[str, str]:
    """`key=value` to a dict."""
    for pair in given:
        if "=" not in pair:
            raise CommandError(f"{pair!r} is not key=value.")
    return dict(pair.split("=", 1) for pair in given)


def recipe_from(name: str, values: dict[str, str]) -> Recipe:
    """A recipe from texts: names of the selection's `Config` are its settings."""
    try:
        own = selection(name).Config.model_fields
    except KeyError as error:
        raise CommandError(error.args[0]) from error
    settings = {key: value for key, value in values.items() if key in own}
    others: dict[str, Any] = {key: value for key, value in values.items() if key not in own}
    return Recipe(selection=name, settings=settings, **others)


def told(version: DatasetVersion) -> str:
    """What was made, in a few lines."""
    counts = with_names(version.counts, names_in(version.project))
    lines = [
        f"{version} of {version.project.slug}: {counts['questions']:,} questions, "
        f"{counts['rationales']:,} rationales, sha256 {version.sha256}",
        *(f"  left out: {reason} ({n:,})" for reason, n in counts["left_out"].items()),
    ]
    first = twins(version).first()
    if first:
        lines.append(f"  same content as v{first.number}")
    return "\n".join(lines)
