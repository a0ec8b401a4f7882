"""Engine jobs of this process, each in a folder of its own, as a worker would run them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from training.decoding.evaluation import EvaluationPlan
from training.decoding.prompts import Renderer
from training.decoding.record import Question
from training.engine.__main__ import perform
from training.engine.drawing import Drawing, asked_of, wanted
from training.engine.evaluate import accuracy, described, settings_of
from training.engine.job import Job
from training.engine.model import end_ids, load_model
from training.engine.stop import Stop
from training.measures.diversity import distinct_derivations
from training.measures.steps import all_hold

MEASURES = {
    "accuracy": (0.0, 1.0),
    "sampled_accuracy": (0.0, 1.0),
    "valid_chain_share": (0.0, 1.0),
    "distinct_derivations": (0.0, float("inf")),
}


def done(folder: Path, questions: Iterable[Question], **job: Any) -> dict[str, Any]:
    """Write the dataset and do the job; what `result.json` would say."""
    folder.mkdir(parents=True)
    lines = [question.model_dump_json() + "\n" for question in questions]
    (folder / "dataset.jsonl").write_text("".join(lines))
    return perform(Job(**job), folder, Stop())


def trained(
    folder: Path,
    questions: Iterable[Question],
    model: str | Path,
    method: str,
    config: dict[str, Any],
    seed: int,
) -> Path:
    """A train job; its last checkpoint."""
    result = done(
        folder,
        questions,
        kind="train",
        method=method,
        model=str(model),
        config={"checkpoint_every": 10_000, **config},
        seed=seed,
    )
    return folder / str(result["checkpoint"])


def scores_of(
    folder: Path, questions: Iterable[Question], model: str | Path, leakage: str
) -> dict[str, dict[str, float | None]]:
    """A score job; the student's scores of each completion by its id."""
    done(folder, questions, kind="score", model=str(model), config={"leakage": leakage})
    rows = (folder / "scores.jsonl").read_text().splitlines()
    return {row["completion"]: row["scores"] for row in map(json.loads, rows)}


def measured(
    folder: Path, questions: Sequence[Question], model: str | Path, plan: EvaluationPlan, seed: int
) -> dict[str, float]:
    """The greedy answer and the samples of an evaluation, without its sentence embeddings."""
    folder.mkdir(parents=True)
    student, tokenizer = load_model(str(model), folder, seed)
    text, ends = Renderer(tokenizer), end_ids(student, tokenizer)
    drawing = Drawing(folder / "items.jsonl", text, ends, plan.rows_per_batch, described)
    draws = wanted(asked_of(questions, given_thoughts=False), settings_of(plan), seed)
    rows = drawing.run(student, draws, Stop())
    samples: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        if row["index"]:
            samples[row["question"]].append(row)
    groups = list(samples.values())
    right = [[row["thought"] for row in group if row["correct"]] for group in groups]
    found = accuracy([row for row in rows if not row["index"]], groups, seed)
    return {
        "accuracy": found["accuracy"],
        "sampled_accuracy": found["sampled_accuracy"],
        "valid_chain_share": sum(all_hold(row["thought"]) for row in rows) / len(rows),
        "distinct_derivations": sum(map(distinct_derivations, right)) / len(groups),
    }
