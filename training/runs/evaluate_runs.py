"""What an evaluate run brought home, as rows.

Models compare only on the same questions, so every evaluation carries the hash of its question
ids.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from training.models import Evaluation, EvaluationItem, Run
from training.runs.folders import RunFolder
from training.runs.readback import storable
from training.runs.tail import Tail

Row = dict[str, Any]


def store_evaluation(run: Run, folder: RunFolder, result: Row) -> Evaluation:
    """The summary of result.json and each line of items.jsonl. Done twice, it stays one."""
    assert run.student_id is not None
    rows = [row for page in Tail(folder.path / "items.jsonl").rows() for row in page]
    ids = sorted({int(row["question"]) for row in rows})
    evaluation, _ = Evaluation.objects.update_or_create(
        run=run,
        defaults={
            "model_id": run.student_id,
            "split": run.config["split"],
            "questions": len(ids),
            "questions_sha256": hash_of_ids(ids),
            "summary": result["summary"],
        },
    )
    items = [item(evaluation, row) for row in rows]
    EvaluationItem.objects.bulk_create(items, batch_size=1000, ignore_conflicts=True)
    return evaluation


def item(evaluation: Evaluation, row: Row) -> EvaluationItem:
    return EvaluationItem(
        evaluation=evaluation,
        question_id=int(row["question"]),
        index=row["index"],
        thought=storable(row["thought"]),
        answer=storable(row["answer"]),
        correct=row["correct"],
        valid_steps=row["valid_steps"],
        token_count=row["token_count"],
        finish_reason=row["finish_reason"],
    )


def hash_of_ids(ids: Iterable[int]) -> str:
    return hashlib.sha256(json.dumps(list(ids)).encode()).hexdigest()
