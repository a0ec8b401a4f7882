"""Dataset versions: what a recipe would choose (`preview`), and that choice made (`freeze`).

A version is a file of facts in the shape of `docs/seam.md`, its sha256, and one row for each
rationale that it holds. The same recipe over the same facts writes the same bytes.
"""

from __future__ import annotations

import json
import tempfile
from array import array
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from django.db import connection, transaction
from django.db.models import Max, QuerySet

from curation.artifacts import artifact_uri, project_path, remove, store
from curation.models import DatasetItem, DatasetVersion, Project, Rationale, User
from training.runs.storing import read_lines
from training.selection.record import Candidate
from training.versions.candidates import Examined, Group, examine, fill_thoughts
from training.versions.overlap import WORDS
from training.versions.recipe import Recipe
from training.webhooks import announce_version

DATASET, LEFT_OUT = "dataset.jsonl", "left_out.jsonl"
LONGEST_NAME = 120


@dataclass
class Tally:
    """The counts of a version, added up chunk by chunk."""

    questions: int = 0
    rows: int = 0
    rationales: int = 0
    considered: int = 0
    by_part: dict[str, Counter[str]] = field(default_factory=dict)
    by_role: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    judged: Counter[str] = field(default_factory=Counter)
    people: set[str] = field(default_factory=set)
    judges: set[str] = field(default_factory=set)
    overlap: int = 0

    def add(self, entry: Examined) -> None:
        """Count what became of one question."""
        self.left_out.update(reason for _, reason in entry.left_out)
        self.considered += len(entry.left_out)
        if not entry.groups:
            return
        self.questions += 1
        self.rows += len(entry.groups)
        kept = [candidate for group in entry.groups for candidate in group.kept]
        self.rationales += len(kept)
        self.considered += len(kept)
        part = self.by_part.setdefault(entry.question.split, Counter())
        part.update(questions=1, rationales=len(kept))
        self.by_role.update(candidate.role for candidate in kept)
        self.overlap += entry.overlaps
        self._judgements(entry, kept)

    def _judgements(self, entry: Examined, kept: list[Candidate]) -> None:
        judges = {judge for group in entry.groups for judge, _ in rankings_of(entry, group)}
        self.judged.update(
            ranked_questions=bool(judges),
            rankings=len(judges),
            accepted=sum(accepted(candidate) is True for candidate in kept),
            rejected=sum(accepted(candidate) is False for candidate in kept),
        )
        self.people |= {judge for judge in judges if judge.startswith("person-")}
        self.judges |= {judge for judge in judges if not judge.startswith("person-")}

    def counts(self) -> dict[str, Any]:
        """As stored with the version. `considered` = `rationales` + the sum of `left_out`."""
        return {
            "questions": self.questions,
            "rows": self.rows,
            "rationales": self.rationales,
            "considered": self.considered,
            "by_part": {part: dict(self.by_part[part]) for part in sorted(self.by_part)},
            "by_role": dict(sorted(self.by_role.items())),
            "left_out": dict(self.left_out.most_common()),
            "judgements": {
                **self.judged,
                "people": len(self.people),
                "judges": len(self.judges),
            },
            "overlap": {"words": WORDS, "questions": self.overlap},
        }


def accepted(candidate: Candidate) -> bool | None:
    """What the reviews come to: True or False where they agree or have a majority, else None."""
    if candidate.accepts == candidate.rejects:
        return None
    return candidate.accepts > candidate.rejects


def preview(project: Project, recipe: Recipe) -> dict[str, Any]:
    """The counts that `freeze` would store. Writes nothing; raises ValueError as `freeze` does."""
    tally = Tally()
    with snapshot():
        for chunk in examine(project, recipe):
            for entry in chunk:
                tally.add(entry)
    return tally.counts()


@contextmanager
def snapshot() -> Iterator[None]:
    """One moment of the record for all the queries within, where no transaction is open yet."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("set transaction isolation level repeatable read, read only")
        yield


def freeze(project: Project, recipe: Recipe, by: User | None, name: str = "") -> DatasetVersion:
    """Make the project's next version. Raises ValueError if the recipe chooses nothing, or if the
    name is too long.

    The file lies in the artifact store before the row that names it is committed; a version whose
    file is missing cannot come to be.
    """
    if len(name) > LONGEST_NAME:
        raise ValueError(f"A version's name has at most {LONGEST_NAME} characters.")
    with tempfile.TemporaryDirectory(prefix="stillroom-version-") as scratch:
        written = write(project, recipe, Path(scratch))
        if not written.tally.rows:
            raise ValueError("The recipe chooses no rationale, so there is no version to make.")
        folder = project_path(project, "versions", uuid4().hex)
        for part in (LEFT_OUT, DATASET):
            with (Path(scratch) / part).open("rb") as content:
                file = store(f"{folder}/{part}", content)
    try:
        return _number(project, recipe, written, file, by, name)
    except BaseException:
        remove(artifact_uri(folder))
        raise


@transaction.atomic
def _number(
    project: Project, recipe: Recipe, written: Written, file: str, by: User | None, name: str
) -> DatasetVersion:
    # No key: rows that refer to the project can go on being written while we hold the lock.
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    last = DatasetVersion.objects.filter(project=project).aggregate(last=Max("number"))["last"]
    version = DatasetVersion.objects.create(
        project=project,
        number=(last or 0) + 1,
        name=name,
        recipe=recipe.model_dump(mode="json"),
        sha256=written.sha256,
        counts=written.tally.counts(),
        file=file,
        created_by=by,
    )
    written.copy_items(version)
    announce_version(version)
    return version


@dataclass
class Written:
    """What `write` wrote, and which rationale went into which line (from 1)."""

    tally: Tally = field(default_factory=Tally)
    sha256: str = ""
    lines: array[int] = field(default_factory=lambda: array("q"))
    rationales: array[int] = field(default_factory=lambda: array("q"))
    parts: list[str] = field(default_factory=list)  # of each line

    def copy_items(self, version: DatasetVersion) -> None:
        """The rows of the version, by COPY: a quarter of a million of them in seconds."""
        table = DatasetItem._meta.db_table
        into = f"COPY {table} (version_id, row, rationale_id, part) FROM STDIN"
        with connection.cursor() as cursor, cursor.copy(into) as sink:
            for line, pk in zip(self.lines, self.rationales, strict=True):
                sink.write_row((version.pk, line, pk, self.parts[line - 1]))


def write(project: Project, recipe: Recipe, folder: Path) -> Written:
    """Write dataset.jsonl and left_out.jsonl into `folder`."""
    written, digest = Written(), sha256()
    with snapshot(), (folder / DATASET).open("wb") as rows, (folder / LEFT_OUT).open("w") as others:
        for chunk in examine(project, recipe):
            groups = [group for entry in chunk for group in entry.groups]
            fill_thoughts(groups)
            drawn = samples(groups)
            for entry in chunk:
                written.tally.add(entry)
                _write_left_out(others, entry)
                for group in entry.groups:
                    line = as_line(row_of(entry, group, drawn))
                    digest.update(line)
                    rows.write(line)
                    written.parts.append(entry.question.split)
                    written.lines.extend([len(written.parts)] * len(group.kept))
                    written.rationales.extend(candidate.id for candidate in group.kept)
    written.sha256 = digest.hexdigest()
    return written


def _write_left_out(file: IO[str], entry: Examined) -> None:
    for pk, reason in sorted(entry.left_out):
        row = {"rationale": str(pk), "question": str(entry.question.id), "reason": reason}
        file.write(json.dumps(row) + "\n")


def as_line(row: dict[str, Any]) -> bytes:
    """ASCII, so that no reader sees a line's end inside a text."""
    return json.dumps(row, separators=(",", ":"), allow_nan=False).encode() + b"\n"


Sample = dict[str, Any]


def samples(groups: Iterable[Group]) -> dict[int, Sample]:
    """How the kept rationales were drawn: sampling, and of students token ids and log-probs."""
    ids = [candidate.id for group in groups for candidate in group.kept]
    columns = ("id", "sampling", "token_ids", "token_logprobs")
    return {row["id"]: row for row in Rationale.objects.filter(pk__among=ids).values(*columns)}


def row_of(entry: Examined, group: Group, drawn: dict[int, Sample]) -> dict[str, Any]:
    """One line of dataset.jsonl."""
    question = group.question
    row: dict[str, Any] = {
        "id": group.id,
        "question_id": str(question.id),
        "question": question.text,
        "reference_answer": question.reference_answer,
        "answer_kind": question.answer_kind,
        "split": question.split,
    }
    if group.thought:
        row |= {"thought": group.thought.thought, "conditioned_on": str(group.thought.id)}
    row["completions"] = [completion(one, drawn[one.id]) for one in group.kept]
    row["rankings"] = [
        {"judge": judge, "kind": judge.split("-")[0], "ranks": ranks}
        for judge, ranks in rankings_of(entry, group)
    ]
    return row


def completion(candidate: Candidate, sample: Sample) -> dict[str, Any]:
    """A rationale as the seam has it."""
    student = candidate.role == "student"
    given = candidate.conditioned_on
    return {
        "id": str(candidate.id),
        "role": candidate.role,
        "author": candidate.author,
        "thought": candidate.thought,
        "answer": candidate.answer,
        "conditioned_on": str(given) if given else None,
        "scores": dict(sorted(candidate.scores.items())),
        "accepted": accepted(candidate),
        "token_ids": sample["token_ids"] if student else None,
        "logprobs": sample["token_logprobs"] if student else None,
        "sampling": sample["sampling"] or None,
    }


def rankings_of(entry: Examined, group: Group) -> Iterator[tuple[str, dict[str, int]]]:
    """Each judge's ranks of the rationales kept in the group, judges in a fixed order."""
    for judge in sorted(entry.rankings):
        ranks = entry.rankings[judge]
        kept = {str(one.id): ranks[one.id] for one in group.kept if one.id in ranks}
        if kept:
            yield judge, kept


def twins(version: DatasetVersion) -> QuerySet[DatasetVersion]:
    """The project's other versions with the same content, byte for byte; the oldest first."""
    same = DatasetVersion.objects.filter(project=version.project, sha256=version.sha256)
    return same.exclude(pk=version.pk).order_by("number")


def left_out_file(version: DatasetVersion) -> str:
    """Where the rationales left out are listed with their reasons."""
    return version.file.removesuffix(DATASET) + LEFT_OUT


def rows_of(version: DatasetVersion) -> Generator[dict[str, Any]]:
    """The rows of a version's file, one at a time."""
    for line in read_lines(version.file):
        yield json.loads(line)


def sample(version: DatasetVersion, size: int = 5) -> tuple[list[dict[str, Any]], str]:
    """The first rows of a version's file to look at, and a sentence if the file is not there."""
    try:
        with closing(rows_of(version)) as rows:
            return list(islice(rows, size)), ""
    except OSError as error:
        return [], f"The file of this version cannot be read from the artifact store: {error}"
