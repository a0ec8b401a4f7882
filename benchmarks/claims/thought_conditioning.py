"""Thought-conditioned sampling for CoTD-PO: the answer after the teacher's thought, or all its own.

The paper lets the student draw its answers after the question and the teacher's thought, and
imitates the thought. Against it stands the student that draws thought and answer itself and has the
teacher's rationale to imitate beside its samples, and the control that only imitates, at the same
number of optimizer steps. Rounds, samples, ratings (right or wrong) and the teacher's rationales,
one careful one a question, are the same.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.claims import _jobs, _words
from benchmarks.claims._figures import difference, dot_plot, per_seed, show, summed_up
from benchmarks.claims.morsd import HELD_OUT, PLAN, keep

LEARNED, ROUNDS, QUESTIONS = 160, 8, 48
STEP = {"learning_rate": 4e-4, "schedule": "constant", "warmup": 0.3}
SAME: dict[str, Any] = {
    **STEP,
    "rounds": ROUNDS,
    "questions_per_round": QUESTIONS,
    "group_size": 8,
    "groups_per_step": QUESTIONS,
    "epochs": 2,
    "max_completion_tokens": 160,
}
IMITATION = {**STEP, "groups_per_step": QUESTIONS, "epochs": 100, "max_steps": 2 * ROUNDS}
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "imitation alone": ("sft", IMITATION),
    "after the teacher's thought": ("cotd_po", {**SAME, "condition": "thought"}),
    "own thought": ("cotd_po", {**SAME, "condition": "question"}),
    "own thought, nll 0.3": ("cotd_po", {**SAME, "condition": "question", "nll": 0.3}),
}
PAPER = "after the teacher's thought"


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(1)
    began, arms = time.process_time(), dict[str, list[Any]]()
    for seed in range(arguments.seeds):
        with TemporaryDirectory() as folder:
            one_seed(Path(folder), seed, arms)
    found = {name: summed_up(rows, _jobs.MEASURES) for name, rows in arms.items()}
    show("What CoTD-PO's samples are drawn after", list(found.items()), list(_jobs.MEASURES))
    plot(found)
    return {
        "seeds": arguments.seeds,
        "arms": found,
        "verdict": verdict(arms),
        "interval": "95 % t interval over seeds",
        "settings": {name: {"method": method, **given} for name, (method, given) in ARMS.items()},
        "per_seed": per_seed(arms),
        "cpu_seconds": round(time.process_time() - began),
    }


def one_seed(folder: Path, seed: int, arms: dict[str, list[Any]]) -> None:
    """Every arm from the same student, rationales and held-out questions."""
    learned, others = _words.problems_of(seed, LEARNED, HELD_OUT)
    dice = random.Random(f"rationales {seed}")
    lines = [
        _words.question(str(n), p, [_words.Rationale("careful", *_words.careful(p, dice))])
        for n, p in enumerate(learned)
    ]
    held_out = [_words.question(str(n), problem) for n, problem in enumerate(others)]
    keep(arms, "start", _jobs.measured(folder / "start", held_out, _words.STUDENT, PLAN, seed))
    for name, (method, config) in ARMS.items():
        model = _jobs.trained(folder / name, lines, _words.STUDENT, method, config, seed)
        keep(arms, name, _jobs.measured(folder / f"{name} measured", held_out, model, PLAN, seed))


def verdict(arms: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """The paper's way less the others, seed by seed, in sampled accuracy."""
    name = "sampled_accuracy"
    own = [row[name] for row in arms[PAPER]]
    others = [arm for arm in arms if arm not in ("start", PAPER)]
    gaps = {arm: difference(own, [row[name] for row in arms[arm]]) for arm in others}
    return {
        "after_the_teachers_thought_less": gaps,
        "holds": gaps["own thought"]["difference"] > 0
        and gaps["imitation alone"]["difference"] > 0,
    }


def plot(arms: dict[str, dict[str, float]]) -> None:
    name = "sampled_accuracy"
    rows = [
        (label, (row[name], row[f"{name}_low"], row[f"{name}_high"])) for label, row in arms.items()
    ]
    ticks = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    dot_plot(
        "thought_conditioning",
        "Share of right answers in samples at temperature 1",
        rows,
        ticks,
        PAPER,
    )
