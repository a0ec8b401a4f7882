"""A rehearsal asked for in the browser or the terminal, and done where an engine may run.

The web process loads no torch: a worker lays out a folder as for a run, calls the engine with
`--rehearse`, and stores what it found. With tokens alone any CPU host does it in seconds; time and
peak memory are measured on a host of the run's own class.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from curation.messages import send
from curation.models import DatasetVersion, LanguageModel, Project, User
from training.models import Rehearsal, RehearsalStatus, Run, RunKind
from training.runs import process, workers
from training.runs.folders import work_root
from training.runs.launch import checked_settings, usual_host
from training.runs.layout import lay_out
from training.runs.readback import read_json
from training.runs.storing import FileGone
from training.runs.supervise import GOING_DOWN, threads

REHEARSE = "training.tasks.rehearse"
PATIENCE = 600.0  # seconds
POLL = 0.2
KEPT = 20  # finished rehearsals of a project
TOO_LONG = (
    "The rehearsal took more than ten minutes and was stopped. Rehearse the tokens alone, or fewer "
    "groups a step."
)


def ask_for_rehearsal(
    project: Project,
    *,
    method: str,
    config: dict[str, Any],
    dataset: DatasetVersion | None,
    student: LanguageModel | None,
    seed: int = 0,
    name: str = "",
    host_class: str = "",
    measured: bool = False,
    by: User | None = None,
    enqueue: bool = True,
) -> Rehearsal:
    """Check what is asked as a launch would, store it and tell a worker.

    Raises Django's `ValidationError` by field, in the words of a launch.
    """
    kind = RunKind.TRAIN.value
    settings = checked_settings(
        project, kind, method, config, dataset, student, seed, host_class, name
    )
    assert dataset is not None  # or the check would have refused it
    assert student is not None
    rehearsal = Rehearsal.objects.create(
        project=project,
        method=method,
        config=settings,
        seed=seed,
        dataset=dataset,
        student=student,
        name=name,
        host_class=host_class or usual_host(kind, student),
        measured=measured,
        asked_by=by,
    )
    forget_old(project)
    if enqueue:
        transaction.on_commit(lambda: tell_a_worker(rehearsal))
    return rehearsal


def tell_a_worker(rehearsal: Rehearsal) -> bool:
    """If the broker is away or forgets it, the reaper tells again."""
    return send(REHEARSE, rehearsal.pk, rehearsal.queue)


def forget_old(project: Project) -> None:
    """All but the newest: a rehearsal is looked at once."""
    newest = project.rehearsals.order_by("-id").values("pk")[:KEPT]
    project.rehearsals.filter(finished_at__isnull=False).exclude(pk__in=newest).delete()


def perform(pk: int, command: Sequence[str] | None = None) -> str:
    """Do it, unless somebody else has it or it is over. Its status afterwards; "" if not free."""
    rehearsal = Rehearsal.objects.select_related("project", "dataset", "student").get(pk=pk)
    if not rehearsal.claim():
        return ""
    work_root().mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"rehearsal-{pk}-", dir=work_root()))
    try:
        status, fields = outcome(rehearsal, folder, command or process.engine_command())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if GOING_DOWN.is_set() and status != RehearsalStatus.DONE:
        return give_back(rehearsal)
    rehearsal.end(status, **fields)
    return status


def give_back(rehearsal: Rehearsal) -> str:
    """The worker goes down: another one does it."""
    mine = Rehearsal.objects.filter(pk=rehearsal.pk, status=RehearsalStatus.RUNNING)
    if mine.update(status=RehearsalStatus.QUEUED):
        tell_a_worker(rehearsal)
    return RehearsalStatus.QUEUED


def reap() -> dict[str, int]:
    """Mend what dead workers and lost messages left. Called every 15 s by the clock.

    One whose worker vanished is not begun again: it may be what the worker died of.
    """
    lost = Rehearsal.objects.filter(Rehearsal.silent())
    words = "Its worker vanished while it rehearsed. Look at the host, then rehearse again."
    gone = lost.update(status=RehearsalStatus.FAILED, finished_at=Now(), error=words)
    waiting = Rehearsal.objects.filter(status=RehearsalStatus.QUEUED)
    return {"failed": gone, "told": sum(map(tell_a_worker, workers.forgotten(waiting, "queue")))}


def outcome(
    rehearsal: Rehearsal, folder: Path, command: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """The status that it ends with, and what is stored with it."""
    try:
        lay_out(as_run(rehearsal), folder, threads(), keep=lambda: None)
    except (FileGone, OSError) as error:
        return RehearsalStatus.FAILED, {"error": str(error)[:2000]}
    flags = ["--rehearse"] if rehearsal.measured else ["--rehearse", "--tokens-only"]
    ended = followed(process.start(folder, [*command, *flags], process.environment(threads())))
    if ended is None:
        return RehearsalStatus.FAILED, {"error": TOO_LONG}
    found = read_json(folder / "rehearsal.json")
    if "error" in found or "rows" not in found:
        return RehearsalStatus.FAILED, {"error": found.get("error") or last_line(folder)}
    printed = (folder / "log.txt").read_text(errors="replace")
    return RehearsalStatus.DONE, {"found": storable({**found, "printed": printed}), "error": ""}


def followed(engine: subprocess.Popen[bytes]) -> int | None:
    """The engine's exit code; None if it had to be stopped, or the worker goes down."""
    end = time.monotonic() + PATIENCE
    try:
        while (code := engine.poll()) is None:
            if time.monotonic() > end or GOING_DOWN.is_set():
                return None
            time.sleep(POLL)
        return code
    finally:
        process.kill(engine)


def as_run(rehearsal: Rehearsal) -> Run:
    """The run that it rehearses; never stored."""
    return Run(
        project=rehearsal.project,
        kind=RunKind.TRAIN,
        method=rehearsal.method,
        config=rehearsal.config,
        seed=rehearsal.seed,
        dataset=rehearsal.dataset,
        student=rehearsal.student,
    )


def last_line(folder: Path) -> str:
    """The engine's own last words."""
    lines = (folder / "log.txt").read_text(errors="replace").splitlines()
    spoken = [line.strip() for line in lines if line.strip()]
    return (spoken[-1] if spoken else "The engine ended and said nothing.")[:2000]


def storable(value: Any) -> Any:
    """PostgreSQL has no NUL in its texts, nor in its JSON."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {key: storable(entry) for key, entry in value.items()}
    return [storable(entry) for entry in value] if isinstance(value, list) else value


# --- For the page ---------------------------------------------------------------------------------


def waited(rehearsal: Rehearsal) -> float:
    """Seconds since it was asked for."""
    return (timezone.now() - rehearsal.created_at).total_seconds()


def runs_of_tokens(tokens: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbouring tokens that are alike in the loss, for a legend that can be read aloud."""
    runs: list[dict[str, Any]] = []
    for token in tokens:
        if not runs or runs[-1]["in_loss"] != token["in_loss"]:
            runs.append({"in_loss": token["in_loss"], "tokens": []})
        runs[-1]["tokens"].append({**token, "thousandth": 1000 * (token["weight"] or 0)})
    return runs


def shown_rows(rehearsal: Rehearsal) -> list[dict[str, Any]]:
    """The rendered rows, each text as runs of tokens with one mask."""
    return [
        {
            **row,
            "prompt": {**row["prompt"], "runs": runs_of_tokens(row["prompt"]["tokens"])},
            "completions": [
                {**one, "runs": runs_of_tokens(one["tokens"])} for one in row["completions"]
            ],
        }
        for row in rehearsal.found.get("rows", [])
    ]


PARTS = [
    ("weights", "Weights"),
    ("gradients", "Gradients"),
    ("optimizer", "Optimizer"),
    ("reference", "Frozen reference"),
    ("activations", "Activations"),
    ("logits", "Logits, one chunk"),
    ("total", "Together"),
]


def memory_rows(rehearsal: Rehearsal) -> list[tuple[str, int]]:
    """The estimate by part."""
    memory = rehearsal.found.get("memory", {})
    return [(words, memory[name]) for name, words in PARTS if memory.get(name)]
