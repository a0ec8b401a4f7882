"""Real training jobs on the demo's student: some questions, a folder, a process of its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from training.demo.problems import demo_problems
from training.engine.checkpoint import last_whole
from training.engine.stop import SUPERVISOR

ROOT = Path(__file__).resolve().parents[2]
STUDENT = ROOT / "training" / "demo" / "student"
QUESTIONS = 6

STORED = {
    "epochs": 3,
    "groups_per_step": 2,
    "checkpoint_every": 2,
    "learning_rate": 1e-3,
    "schedule": "constant",
}
"""Nine steps over two rationales a question."""

DRAWN = {
    "rounds": 3,
    "group_size": 4,
    "groups_per_step": 3,
    "rows_per_batch": 8,
    "max_completion_tokens": 40,
    "learning_rate": 1e-3,
    "schedule": "constant",
    "checkpoint_every": 3,
    "rewards": {"answer_correct": 1.0, "length": -0.3},
}
"""Three rounds of six questions in three chunks each; no two lengths are rewarded alike."""


def questions() -> list[dict[str, Any]]:
    return [
        {
            "id": str(n),
            "question": problem.question,
            "reference_answer": str(problem.answer),
            "completions": [
                {"id": f"{n}-{k}", "thought": thought, "answer": str(problem.answer)}
                for k, thought in enumerate(problem.derivations[:2])
            ],
        }
        for n, problem in enumerate(demo_problems(QUESTIONS))
    ]


def write_job(folder: Path, method: str, config: dict[str, Any], **more: Any) -> Path:
    """`run.json` and its dataset in a new folder."""
    folder.mkdir(parents=True)
    rows = "".join(json.dumps(row) + "\n" for row in questions())
    (folder / "dataset.jsonl").write_text(rows)
    job = {"kind": "train", "method": method, "model": str(STUDENT), "seed": 5, "config": config}
    (folder / "run.json").write_text(json.dumps({**job, **more}))
    return folder / "run.json"


def start(job: Path, most_bytes: int = resource.RLIM_INFINITY) -> subprocess.Popen[str]:
    """The real command; no file of it may have more than `most_bytes`."""
    known = {name: value for name, value in os.environ.items() if name != SUPERVISOR}
    return subprocess.Popen(
        [sys.executable, "-m", "training.engine", str(job)],
        cwd=ROOT,
        env={**known, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, -1)),
    )


def run(job: Path, code: int = 0) -> Path:
    """Run it to its end and return its folder."""
    process = start(job)
    _, said = process.communicate(timeout=300)
    assert process.returncode == code, said
    return job.parent


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Of the last checkpoint."""
    found = last_whole(folder / "checkpoints")
    assert found is not None
    return load_file(found.path / "model.safetensors")


def distance(left: Path, right: Path) -> float:
    """The largest difference between two runs' weights, over the largest weight's size."""
    ours, theirs = weights(left), weights(right)
    assert ours.keys() == theirs.keys()
    largest = max(float(tensor.abs().max()) for tensor in theirs.values())
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours) / largest
