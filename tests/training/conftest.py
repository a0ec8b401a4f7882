"""What the tests of runs share: a version to train on, a student, an engine that needs no torch."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from threading import Event

import pytest

from tests.make import make_question, make_rationale

FAKE = [sys.executable, str(Path(__file__).with_name("fake_engine.py"))]


@pytest.fixture(autouse=True)
def _nobody_goes_down(monkeypatch):
    from training.runs import supervise

    monkeypatch.setattr(supervise, "GOING_DOWN", Event())


@pytest.fixture
def student(project):
    from curation.models import LanguageModel

    return LanguageModel.objects.create(
        project=project, name="sapling", provider="local", uri="training/demo/student"
    )


@pytest.fixture
def version(project, tmp_path):
    """A dataset version of two questions."""
    from curation.models import DatasetItem, DatasetVersion

    file = tmp_path / "dataset.jsonl"
    rows, made = [], []
    for number in (1, 2):
        question = make_question(
            project, f"What is 8 + {number}?", reference_answer=f"{8 + number}"
        )
        rationale = make_rationale(question, f"8 + {number} = {8 + number}", answer=f"{8 + number}")
        made.append(rationale)
        rows.append(
            {
                "id": str(question.pk),
                "question": question.text,
                "reference_answer": question.reference_answer,
                "answer_kind": "number",
                "split": "train",
                "completions": [
                    {
                        "id": str(rationale.pk),
                        "role": "teacher",
                        "thought": rationale.thought,
                        "answer": rationale.answer,
                    }
                ],
            }
        )
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    version = DatasetVersion.objects.create(
        project=project, number=1, recipe={}, sha256="0" * 64, file=str(file)
    )
    DatasetItem.objects.bulk_create(
        DatasetItem(version=version, row=row, rationale=rationale, part="train")
        for row, rationale in enumerate(made)
    )
    return version


@pytest.fixture
def train_run(project, version, student):
    """A queued run of supervised fine-tuning that no worker was told of."""
    from training.runs.launch import launch

    return launch(project, "train", method="sft", dataset=version, student=student, enqueue=False)
