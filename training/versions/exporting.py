"""Exporting a version: its frozen file in one of the formats of `training/export/`.

As a folder (`manage.py export`) or, by a background job, as one zip in the artifact store. The
zip of the same version and options has the same bytes, and lies where the job's number says, so
a job that is run again ends with the same file.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db.models import QuerySet
from pydantic import BaseModel, ValidationError

from curation import jobs
from curation.artifacts import COPY_BYTES, artifact_uri, project_path, writing
from curation.models import DatasetVersion, Job, JobKind, JobStatus, LanguageModel, Question, User
from training.cards.data import lineage_facts
from training.export import export_format
from training.export.card import Facts, card
from training.export.files import Progress, Report, write_files
from training.export.groups import Line
from training.runs.storing import FileGone, read_lines
from training.versions.naming import names_in
from training.versions.recipe import Recipe, first_fault, in_words

ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def options_for(name: str, values: dict[str, Any]) -> BaseModel:
    """The options of a format, checked. Raises ValueError with one sentence."""
    try:
        config: BaseModel = export_format(name).Config(**values)
    except KeyError as error:
        raise ValueError(error.args[0]) from error
    except ValidationError as error:
        raise ValueError(f"options of {name}: {first_fault(error)}") from error
    return config


def export_version(
    version: DatasetVersion,
    name: str,
    options: dict[str, Any],
    folder: Path,
    parquet: bool = False,
    progress: Progress = lambda done: None,
) -> Report:
    """Write the export with its card into `folder`. Raises ValueError if nothing makes a row."""
    config, shape = options_for(name, options), export_format(name)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"The folder {folder} is not empty; name a new one.")
    lines = (Line.model_validate_json(line) for line in read_lines(version.file))
    report = write_files(lines, shape, config, folder, parquet, progress)
    if not report.rows:
        reasons = "; ".join(f"{why} ({n})" for why, n in report.left_out.most_common(3))
        raise ValueError(f"No row of {version} fits the format {name}. {reasons}")
    for file, text in getattr(shape, "extra_files", _no_files)(report.files).items():
        (folder / file).write_text(text, encoding="utf-8")
    facts = facts_of(version, name, config, options, parquet)
    (folder / "README.md").write_text(card(facts, shape, report), encoding="utf-8")
    return report


def _no_files(files: dict[str, str]) -> dict[str, str]:
    return {}


def facts_of(
    version: DatasetVersion, name: str, config: BaseModel, options: dict[str, Any], parquet: bool
) -> Facts:
    """What the card says about the version."""
    recipe = Recipe.model_validate(version.recipe)
    sources = Question.objects.filter(rationales__dataset_items__version=version)
    return Facts(
        project=version.project.name,
        version=f"v{version.number}",
        created=f"{version.created_at:%d %B %Y}",
        sha256=version.sha256,
        command=command_for(version, name, options, parquet),
        counts=version.counts,
        recipe=in_words(recipe, names_in(version.project, people=False)),
        options=config.model_dump(),
        authors=authors_of(version),
        sources=sorted(filter(None, sources.values_list("source", flat=True).distinct())),
        **lineage_facts(version),
    )


def authors_of(version: DatasetVersion) -> list[tuple[str, str, str]]:
    """Name, role and licence of each model that wrote, and the people without their names."""
    items = version.items.order_by()
    models = items.values_list("rationale__author_model", "rationale__role").distinct()
    roles: dict[int, list[str]] = {}
    for pk, role in models.exclude(rationale__author_model=None):
        roles.setdefault(pk, []).append(role)
    found = LanguageModel.objects.filter(pk__in=roles)
    listed = [
        (str(model), ", ".join(sorted(roles[model.pk])), model.licence or "")
        for model in found.order_by("name")
    ]
    people = items.exclude(rationale__author_user=None)
    count = people.values("rationale__author_user").distinct().count()
    if count:
        listed.append((f"{count} people", "human", ""))
    return listed


def command_for(version: DatasetVersion, name: str, options: dict[str, Any], parquet: bool) -> str:
    """The command that makes the same export."""
    given = [f"{key}={_as_text(value)}" for key, value in options.items()]
    return shlex.join(
        [
            *("python", "manage.py", "export", version.project.slug, str(version.number)),
            *("--format", name, "--out", "FOLDER"),
            *(["--parquet"] if parquet else []),
            *(["--set", *given] if given else []),
        ]
    )


def _as_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def ask_for_export(
    version: DatasetVersion, name: str, options: dict[str, Any], parquet: bool, by: User | None
) -> Job:
    """A queued job; whoever calls enqueues it. Raises ValueError for options that make no sense."""
    options_for(name, options)
    params = {"version": version.number, "format": name, "options": options, "parquet": parquet}
    return Job.objects.create(
        project=version.project,
        kind=JobKind.EXPORT,
        params=params,
        total=version.counts.get("rows"),
        created_by=by,
    )


def exports_of(version: DatasetVersion) -> QuerySet[Job]:
    """The latest exports of a version, whoever asked."""
    asked = Job.objects.filter(kind=JobKind.EXPORT, project=version.project)
    asked = asked.filter(params__version=version.number)
    return asked.select_related("created_by")[:10]


def perform(job: Job) -> None:
    """Do an export job that the caller has claimed, to its end."""
    try:
        _perform(job)
    except jobs.TakenAway:
        return
    except (ValueError, FileGone) as error:
        jobs.finish(job, JobStatus.FAILED, error=str(error))
    except Exception as error:
        jobs.finish(job, JobStatus.FAILED, error=f"{type(error).__name__}: {error}"[:500])
        raise


def _perform(job: Job) -> None:
    params = job.params
    version = DatasetVersion.objects.get(project=job.project, number=params["version"])
    name = f"{job.project.slug}-v{version.number}-{params['format']}"
    with tempfile.TemporaryDirectory(prefix="stillroom-export-") as scratch:
        folder = Path(scratch) / name
        report = export_version(
            version,
            params["format"],
            params["options"],
            folder,
            params["parquet"],
            lambda done: jobs.advance(job, done, job.total),
        )
        path = project_path(job.project, "exports", str(job.pk), f"{name}.zip")
        zip_to(folder, path)
        job.file = artifact_uri(path)
    job.done = version.counts.get("rows", 0)
    job.report = {
        "version": version.number,
        "rows": dict(report.rows),
        "left_out": dict(report.left_out.most_common()),
        "bytes": report.size,
    }
    jobs.finish(job, JobStatus.DONE)


def zip_to(folder: Path, path: str) -> None:
    """All files of a folder as one zip in the store, streamed. Equal folders give equal bytes."""
    with (
        writing(path) as sink,
        zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
        for file in files_in(folder):
            entry = zipfile.ZipInfo(f"{folder.name}/{file.relative_to(folder)}", ZIP_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with file.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, COPY_BYTES)


def files_in(folder: Path) -> Iterator[Path]:
    """The files of a folder in a fixed order."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
