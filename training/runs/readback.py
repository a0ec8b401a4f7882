"""From the engine's files into the database, while it works and once it has ended.

Everything here may be done twice: metrics, draws, scores, items and checkpoints are rows that a
unique constraint lets in once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.utils import timezone

from curation.models import LanguageModel, Rationale
from curation.signals import rationales_stored
from training.models import Checkpoint, Metric, Run, RunKind
from training.reports.group_table import store_rounds
from training.reports.probes import store_probes
from training.runs.folders import RunFolder
from training.runs.judge_runs import store_verdicts
from training.runs.student_scores import store_scores
from training.runs.tail import Tail
from training.tracking import Reports

NOT_METRICS = {"step", "round"}
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors")

Row = dict[str, Any]


@dataclass
class ReadBack:
    """What one attempt has read so far."""

    run: Run
    folder: RunFolder
    reports: Reports = field(default_factory=Reports)
    metrics: Tail = field(init=False)
    samples: Tail = field(init=False)
    scores: Tail = field(init=False)
    verdicts: Tail = field(init=False)
    rounds: Tail = field(init=False)
    probes: Tail = field(init=False)
    progress: Row = field(default_factory=dict)
    began: Row = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.metrics = Tail(self.folder.path / "metrics.jsonl")
        self.samples = Tail(self.folder.path / "samples.jsonl")
        self.scores = Tail(self.folder.path / "scores.jsonl")
        self.verdicts = Tail(self.folder.path / "verdicts.jsonl")
        self.rounds = Tail(self.folder.path / "rounds.jsonl")
        self.probes = Tail(self.folder.path / "probes.jsonl")

    def read(self) -> None:
        """Everything new since the last time."""
        for rows in self.metrics.rows():
            store_metrics(self.run, rows)
            self.reports.tell(rows)
        if self.run.kind == RunKind.GENERATE:
            for rows in self.samples.rows():
                store_draws(self.run, rows)
        for rows in self.scores.rows():
            store_scores(self.run, rows)
        for rows in self.verdicts.rows():
            store_verdicts(self.run, rows)
        for rows in self.rounds.rows():
            store_rounds(self.run, rows)
        for rows in self.probes.rows():
            store_probes(self.run, rows)
        self.read_progress()

    def read_progress(self) -> None:
        """`progress.json` into `Run.progress`, with where this attempt began, for the estimate."""
        read = read_json(self.folder.path / "progress.json")
        if not read or read == self.progress:
            return
        self.progress = read
        self.began = self.began or {"from": read["done"], "since": timezone.now().isoformat()}
        Run.objects.filter(pk=self.run.pk, attempt=self.run.attempt).update(
            progress={**read, **self.began}
        )


def read_json(path: Path) -> Row:
    """A whole JSON object, {} if the file is not there."""
    try:
        found: Row = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return found


def store_metrics(run: Run, rows: list[Row]) -> None:
    """One row a number. What is no number (or was NaN) is left out or empty."""
    Metric.objects.bulk_create(
        [
            Metric(run=run, step=row["step"], name=name[:60], value=value)
            for row in rows
            for name, value in row.items()
            if name not in NOT_METRICS and (value is None or isinstance(value, int | float))
        ],
        batch_size=2000,
        ignore_conflicts=True,
    )


def store_draws(run: Run, rows: list[Row]) -> list[int]:
    """Completions as rationales, each once; those that say nothing are left out. The new ids."""
    drawn = [draw(run, row) for row in rows]
    kept = [rationale.fill_keys() for rationale in drawn if rationale.thought or rationale.answer]
    before = set(own_draws(run, kept))
    Rationale.objects.bulk_create(kept, batch_size=500, ignore_conflicts=True)
    new = [pk for pk in own_draws(run, kept) if pk not in before]
    if new:
        rationales_stored.send(
            sender=Rationale, project=run.project, rationale_ids=new, batch=run.batch
        )
    return new


def own_draws(run: Run, drawn: list[Rationale]) -> list[int]:
    keys = [rationale.draw_key for rationale in drawn]
    found = Rationale.objects.filter(batch=run.batch, draw_key__in=keys)
    return list(found.values_list("pk", flat=True))


def draw(run: Run, row: Row) -> Rationale:
    """One line of samples.jsonl as a rationale.

    An answer drawn after somebody's thought keeps the answer alone: the thought is not its own.
    """
    assert run.student_id is not None
    thought, answer = storable(row["thought"]), storable(row["answer"])
    if row.get("conditioned_on"):
        thought = "" if answer else storable(row["text"])
    logprobs = row.get("logprobs")
    return Rationale(
        question_id=int(row["question"]),
        role=run.config["role"],
        author_model_id=run.student_id,
        thought=thought,
        answer=answer,
        prompt_sent=storable(row["prompt"]),
        sampling=row["sampling"],
        seed=row["seed"],
        index=row["index"],
        finish_reason=row.get("finish_reason") or "",
        token_count=row.get("token_count") or (len(row.get("token_ids") or []) or None),
        logprob=sum(logprobs) if logprobs else None,
        token_ids=row.get("token_ids"),
        token_logprobs=logprobs,
        conditioned_on_id=int(row["conditioned_on"]) if row.get("conditioned_on") else None,
        batch=run.batch,
    )


def storable(text: str) -> str:
    """PostgreSQL has no NUL in its texts."""
    return text.replace("\x00", "")


def register_checkpoints(run: Run, folder: RunFolder) -> list[Checkpoint]:
    """Each whole checkpoint that was kept, as a model that writes, trains and is evaluated."""
    found = sorted((folder.path / "checkpoints").glob("step-*/manifest.json"))
    return [register(run, folder, path) for path in found]


def register(run: Run, folder: RunFolder, manifest: Path) -> Checkpoint:
    """One checkpoint with its row among the models."""
    facts = read_json(manifest)
    name = f"{run.name or run.method} · run {run.pk}"
    uri = f"{folder.url}/checkpoints/{manifest.parent.name}"
    model, _ = LanguageModel.objects.get_or_create(
        project=run.project,
        name=name,
        revision=f"step {facts['step']}",
        defaults={
            "provider": "local",
            "uri": uri,
            "licence": run.student.licence if run.student else "",
        },
    )
    weights = next(facts["files"][name] for name in WEIGHTS if name in facts["files"])
    return Checkpoint.objects.get_or_create(
        run=run, step=facts["step"], defaults={"uri": uri, "sha256": weights, "model": model}
    )[0]
