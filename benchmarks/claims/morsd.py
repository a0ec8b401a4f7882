"""MoRSD: a chosen 30 % of a noisy pool teaches as much as all of it.

The student of `_words.py` learns from a teacher's pool of which 40 % is noise: from all of it, from
a random 30 %, from what is right, from what is right and no two alike, and from MoRSD's 30 %: of
the right and unlike ones those that help the student most, by RD = PPL(a | q, r) / PPL(a | q) with
the answer inside r masked. Two variants leave it unmasked, and one of them keeps what is alike.

The selections are those that a version's recipe names, the scores are a score job's, and every arm
takes the same number of optimizer steps with the same number of rationales in each. The settings of
training are the demo's; the size of the pool and the variants were chosen on seed 100.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import torch

from benchmarks.claims import _jobs, _words
from benchmarks.claims._figures import difference, dot_plot, per_seed, show, summed_up
from training.decoding.evaluation import EvaluationPlan
from training.demo.problems import Problem
from training.selection import correct as right_answers
from training.selection import morsd, random_k
from training.selection.record import Asked, Candidate

LEARNED, HELD_OUT, SHARE = 600, 200, 0.3
# Under these names the selections know the student, by how its score job hid the answer.
STUDENTS = {"mask": "model-1", "none": "model-2"}
PLAN = EvaluationPlan(samples_per_question=4, temperature=1.0, max_new_tokens=160)
SETTINGS: dict[str, Any] = {
    "learning_rate": 3e-4,
    "schedule": "cosine",
    "warmup": 0.1,
    "epochs": 100,
    "max_steps": 100,
    "groups_per_step": 24,
}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(1)
    began, arms, made = time.process_time(), dict[str, list[Any]](), dict[str, list[Any]]()
    for seed in range(arguments.seeds):
        with TemporaryDirectory() as folder:
            one_seed(Path(folder), seed, arms, made)
    found = {name: summed_up(rows, _jobs.MEASURES) for name, rows in arms.items()}
    show("What the student learns from", list(found.items()), list(_jobs.MEASURES))
    plot(found)
    return {
        "seeds": arguments.seeds,
        "arms": found,
        "verdict": verdict(arms),
        "interval": "95 % t interval over seeds",
        "rationales": {name: summed(counts) for name, counts in made.items()},
        "settings": {"sft": SETTINGS, "share": SHARE, "questions": LEARNED, "pool": _words.KINDS},
        "tuned_on_seeds": [100],
        "per_seed": per_seed(arms),
        "cpu_seconds": round(time.process_time() - began),
    }


def one_seed(
    folder: Path, seed: int, arms: dict[str, list[Any]], made: dict[str, list[Any]]
) -> None:
    """Every arm from the same student, pool and held-out questions."""
    learned, others = _words.problems_of(seed, LEARNED, HELD_OUT)
    dice = random.Random(f"pool {seed}")
    pools = [_words.pool_of(problem, dice) for problem in learned]
    asked = considered(folder / "scores", learned, pools)
    held_out = [_words.question(str(n), problem) for n, problem in enumerate(others)]
    start = _jobs.measured(folder / "start", held_out, _words.STUDENT, PLAN, seed)
    keep(arms, "start", start)
    for name, chosen in arms_of(asked, seed).items():
        rows = rows_of(learned, pools, chosen)
        counts = Counter(kind for _, kind in rows)
        made.setdefault(name, []).append({"rationales": len(rows), **counts})
        model = _jobs.trained(
            folder / name, [row for row, _ in rows], _words.STUDENT, "sft", SETTINGS, seed
        )
        keep(arms, name, _jobs.measured(folder / f"{name} measured", held_out, model, PLAN, seed))


def keep(rows: dict[str, list[Any]], name: str, found: dict[str, float]) -> None:
    rows.setdefault(name, []).append(found)
    told = ", ".join(f"{key} {value:.3f}" for key, value in found.items())
    print(f"seed {len(rows[name]) - 1} {name}: {told}", flush=True)


def considered(
    folder: Path, problems: Sequence[Problem], pools: Sequence[list[_words.Rationale]]
) -> list[Asked]:
    """The pool as selections see it: with the checker's verdict and the student's scores."""
    pairs = zip(problems, pools, strict=True)
    questions = [_words.question(str(n), *pair) for n, pair in enumerate(pairs)]
    scores = {
        name: _jobs.scores_of(folder / leakage, questions, _words.STUDENT, leakage)
        for leakage, name in STUDENTS.items()
    }
    return [
        Asked(
            id=place,
            text=question.question,
            reference_answer=question.reference_answer,
            answer_kind="number",
            split="train",
            candidates=[
                Candidate(
                    id=place * _words.PER_QUESTION + n,
                    role="teacher",
                    author="teacher",
                    thought=one.thought,
                    answer=one.answer,
                    scores={
                        "answer_correct": float(one.answer == question.reference_answer),
                        **{
                            f"{morsd.RATIO}@{name}": found[one.id][morsd.RATIO]
                            for name, found in scores.items()
                        },
                    },
                )
                for n, one in enumerate(question.completions)
            ],
            considered=_words.PER_QUESTION,
        )
        for place, question in enumerate(questions)
    ]


def arms_of(asked: list[Asked], seed: int) -> dict[str, set[int]]:
    """The rationales of each arm, by id."""
    everything = {one.id for question in asked for one in question.candidates}
    share: dict[str, Any] = {"keep": "share", "share": SHARE}
    at_random = random_k.Config(**share, seed=seed)
    masked, unmasked = STUDENTS.values()
    unlike = morsd.Config(student=masked, helps=False, keep="share", share=1.0)
    return {
        "all": everything,
        "random 30 %": left(asked, random_k, at_random),
        "correct": left(asked, right_answers, right_answers.Config()),
        "correct + diverse": left(asked, morsd, unlike),
        "MoRSD": left(asked, morsd, morsd.Config(student=masked, **share)),
        "MoRSD, not masked": left(asked, morsd, morsd.Config(student=unmasked, **share)),
        "MoRSD, not masked, alike kept": left(
            asked, morsd, morsd.Config(student=unmasked, similarity=1.0, **share)
        ),
    }


def left(asked: list[Asked], selection: ModuleType, config: Any) -> set[int]:
    """What a selection leaves, its second look over the whole dataset included."""
    kept = {
        one.id
        for question in asked
        for one, verdict in zip(
            question.candidates, selection.select(question, config), strict=True
        )
        if verdict is None
    }
    if not getattr(config, "over_dataset", False):
        return kept
    rest = only(asked, kept)
    verdicts = selection.rank(rest, config)
    return {
        one.id
        for question, found in zip(rest, verdicts, strict=True)
        for one, verdict in zip(question.candidates, found, strict=True)
        if verdict is None
    }


def only(asked: list[Asked], kept: set[int]) -> list[Asked]:
    """The same questions with these candidates alone; a share still counts from all."""
    return [
        Asked(
            id=one.id,
            text=one.text,
            reference_answer=one.reference_answer,
            answer_kind=one.answer_kind,
            split=one.split,
            candidates=[candidate for candidate in one.candidates if candidate.id in kept],
            considered=one.considered,
        )
        for one in asked
    ]


def rows_of(
    problems: Sequence[Problem], pools: Sequence[list[_words.Rationale]], chosen: set[int]
) -> list[tuple[Any, str]]:
    """One line of the dataset for each chosen rationale, so that steps hold equally many."""
    return [
        (_words.question(f"{place}-{n}", problem, [one]), one.kind)
        for place, (problem, pool) in enumerate(zip(problems, pools, strict=True))
        for n, one in enumerate(pool)
        if place * _words.PER_QUESTION + n in chosen
    ]


def summed(counts: Sequence[Counter[str]]) -> dict[str, float]:
    """The mean over seeds of how many rationales an arm has, and of which kinds."""
    names = ("rationales", *_words.KINDS)
    return {name: round(sum(one.get(name, 0) for one in counts) / len(counts), 1) for name in names}


def verdict(arms: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """MoRSD's 30 % less the other arms, seed by seed, in sampled accuracy."""
    own = [row["sampled_accuracy"] for row in arms["MoRSD"]]
    others = [name for name in arms if name not in ("start", "MoRSD")]
    gaps = {
        name: difference(own, [row["sampled_accuracy"] for row in arms[name]]) for name in others
    }
    return {"morsd_less": gaps, "holds": gaps["all"]["difference"] >= 0}


def plot(arms: dict[str, dict[str, float]]) -> None:
    name = "sampled_accuracy"
    rows = [
        (label, (row[name], row[f"{name}_low"], row[f"{name}_high"])) for label, row in arms.items()
    ]
    ticks = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    dot_plot("morsd", "Share of right answers in samples at temperature 1", rows, ticks, "MoRSD")
