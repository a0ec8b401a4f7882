"""Reading `dataset.jsonl`, and keeping one folder to one job."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from training.decoding.record import Question
from training.engine.files import fetch, sha256, write_json
from training.engine.job import BadJob, Job, first_fault
from training.engine.stop import Stop, Stopped

# The rows that jobs write; those of a training begin before its first step is done.
WRITTEN = (
    *("samples.jsonl", "probes.jsonl", "groups.jsonl", "rounds.jsonl", "answers.jsonl"),
    *("scores.jsonl", "items.jsonl", "verdicts.jsonl"),
)
PATIENCE = 30.0  # seconds that another engine in the folder has to end


def read_questions(path: Path) -> list[Question]:
    """Every question of a dataset, JSONL or parquet. Raises `BadJob` naming the faulty line."""
    if not path.exists():
        raise BadJob(f"There is no dataset {path.name}.")
    questions = [_question(number, row) for number, row in enumerate(_rows(path), start=1)]
    if not questions:
        raise BadJob(f"The dataset {path.name} has no questions.")
    if len({question.id for question in questions}) < len(questions):
        raise BadJob(f"The dataset {path.name} has two questions with one id.")
    return questions


def _question(number: int, row: Any) -> Question:
    try:
        return Question.model_validate(row)
    except ValidationError as error:
        raise BadJob(f"Question {number} of the dataset: {first_fault(error)}") from error


def _rows(path: Path) -> list[Any]:
    if path.suffix == ".parquet":
        return _table(path)
    with path.open(encoding="utf-8", newline="\n") as file:  # other line ends may be in a text
        lines = enumerate(file, start=1)
        try:
            return [_parsed(number, line) for number, line in lines if line.strip()]
        except UnicodeDecodeError as error:
            raise BadJob(f"The dataset {path.name} is not UTF-8: {error}.") from error


def _table(path: Path) -> list[Any]:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        return parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise BadJob(f"The dataset {path.name} cannot be read as parquet: {error}.") from error


def _parsed(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadJob(f"Line {number} of the dataset is not JSON: {error}.") from error


def release(folder: Path) -> None:
    """Let go of a folder whose job was refused before it did anything, so that a mended job may
    have it."""
    begun = ("progress.json", "round.json", "checkpoints", *WRITTEN)
    if not any((folder / name).exists() for name in begun):
        (folder / "state.json").unlink(missing_ok=True)


def open_dataset(job: Job, folder: Path) -> list[Question]:
    """The job's questions. Refuses a folder whose earlier files belong to another job."""
    path = fetch(job.dataset, folder)
    questions = read_questions(path)
    facts = {"job": job.fingerprint(), "dataset": sha256(path)}
    state = folder / "state.json"
    if state.exists() and json.loads(state.read_text()) != facts:
        raise BadJob(
            "run.json or the dataset has changed since this folder was begun; use a new folder."
        )
    if not state.exists():  # of several processes all are here, and the first has been
        write_json(state, facts)
    return questions


@contextmanager
def alone(folder: Path, stop: Stop, patience: float = PATIENCE) -> Iterator[None]:
    """Within it no other engine works in this folder; the lock goes with the process that holds it.

    Another one is waited for, as one whose supervisor is gone ends after its step. Raises `Stopped`
    if it does not end within `patience` seconds. A file system without locks is taken as it is.
    """
    handle = os.open(folder, os.O_RDONLY)
    deadline = time.monotonic() + patience
    try:
        while _is_taken(handle):
            if time.monotonic() > deadline or stop.requested():
                raise Stopped("Another process works in this folder; run again when it has ended.")
            time.sleep(0.2)
        yield
    finally:
        os.close(handle)


def _is_taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
