"""A job that cannot be done is refused in one sentence, with exit code 2 and nothing half done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.engine.__main__ import main

STUDENT = str(Path(__file__).resolve().parents[2] / "training" / "demo" / "student")
ROW = {
    "id": "1", "question": "What is 8 + 3?", "reference_answer": "11",
    "completions": [{"id": "a", "thought": "8 + 3 = 11", "answer": "11"}],
}  # fmt: skip
GOOD = {"kind": "train", "method": "sft", "config": {}, "model": STUDENT}


def refused(folder: Path, capsys, job: dict | str, rows: str = json.dumps(ROW) + "\n") -> str:
    """The sentence; it stands in result.json too."""
    (folder / "dataset.jsonl").write_text(rows)
    (folder / "run.json").write_text(job if isinstance(job, str) else json.dumps(job))
    assert main([str(folder / "run.json")]) == 2
    told = capsys.readouterr().err.strip()
    assert told.count("\n") == 0
    assert json.loads((folder / "result.json").read_text()) == {"error": told}
    assert not (folder / "checkpoints").exists()
    return told


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "dance"}, "kind"),
        ({"method": None}, "names its method"),
        ({"kind": "evaluate"}, "only a train job does"),
        ({"method": "alchemy"}, "There is no method 'alchemy'; there are combined"),
        ({"config": {"epochs": 0}}, "epochs"),
        ({"config": {"epoch": 3}}, "epoch is not a known setting"),
        ({"seed": -1}, "seed"),
        ({"surprise": 1}, "surprise is not a known setting"),
        ({"dataset": "none.jsonl"}, "There is no dataset none.jsonl"),
        ({"method": "grpo", "config": {"rewards": {"luck": 1}}}, "There is no reward 'luck'"),
    ],
)
def test_a_fault_of_the_job_is_named(tmp_path, capsys, change, said):
    assert said in refused(tmp_path, capsys, {**GOOD, **change})


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", "has no questions"),
        ("{\n", "Line 1 of the dataset is not JSON"),
        ('{"id": "1"}\n', "Question 1 of the dataset: question"),
        ((json.dumps(ROW) + "\n") * 2, "two questions with one id"),
        (json.dumps({**ROW, "completions": []}) + "\n", "nothing to train on"),
    ],
)
def test_a_fault_of_the_dataset_is_named(tmp_path, capsys, rows, said):
    assert said in refused(tmp_path, capsys, GOOD, rows)


def test_a_file_that_is_no_json_and_one_that_is_not_there(tmp_path, capsys):
    refused(tmp_path, capsys, "{")
    assert main([str(tmp_path / "other" / "run.json")]) == 2
    assert "There is no file" in capsys.readouterr().err
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("Usage")


def test_a_folder_belongs_to_one_job(tmp_path, capsys):
    (tmp_path / "dataset.jsonl").write_text(json.dumps(ROW) + "\n")
    (tmp_path / "run.json").write_text(json.dumps({**GOOD, "config": {"epochs": 1}}))
    assert main([str(tmp_path / "run.json")]) == 0
    (tmp_path / "run.json").write_text(json.dumps({**GOOD, "config": {"epochs": 2}}))
    assert main([str(tmp_path / "run.json")]) == 2
    assert "use a new folder" in capsys.readouterr().err
