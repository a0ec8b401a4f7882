"""How the shipped checkpoints are made: `python -m training.demo.recipe`.

Five runs of the project's own engine, each supervised fine-tuning on what `problems.py` and
`judgements.py` write:

    teacher    a new model learns careful rationales
    polished   the teacher goes on with new ones, more of them in the order of the story
    base       a smaller new model learns careful rationales
    student    the base goes on with mixed habits: mostly careless rationales, some careful ones
    judge      the shipped teacher learns to work a problem out again and to rate a rationale of it;
               its weights are not in the repository (docs/negative-results.md)

So the student is competent but of mixed habits: right and wrong ways are both within its reach,
which is what preference methods need. A student that is only trained too briefly does not improve.

No question of the demo (`problems.demo_problems`) is in any of the datasets. Everything derives
from the seeds below. The weights are stored in half precision and load in full precision.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from training.demo import judgements, tokenizer
from training.demo.problems import (
    DEMO_QUESTIONS,
    Habit,
    Problem,
    demo_problems,
    endless_problems,
    write_rationale,
)

HERE = Path(__file__).parent
CAREFUL: dict[Habit, float] = {"careful": 1.0}
MIXED: dict[Habit, float] = {"careful": 0.37, "misread": 0.5, "drop": 0.06, "slip": 0.07}


@dataclass(frozen=True)
class Shape:
    """The size of a new Llama."""

    width: int
    inner: int
    layers: int = 4
    heads: int = 4


@dataclass(frozen=True)
class Part:
    """One run: what it starts from, what it reads, how long and how fast it learns."""

    name: str
    start: Shape | str | Path  # a new model, the name of an earlier part, or a checkpoint
    habits: dict[Habit, float]
    seed: int
    questions: int
    epochs: int
    learning_rate: float
    ships_as: str = ""  # nothing: only another part needs it
    rationales: int = 4
    as_told: float = 0.5
    questions_per_step: int = 8
    judges: bool = False  # reads rationales and learns to rate them


PARTS = (
    Part("teacher", Shape(128, 256), CAREFUL, 1, 24_000, 2, 3e-3),
    Part(
        "polished",
        "teacher",
        CAREFUL,
        4,
        28_000,
        1,
        1.5e-3,
        rationales=3,
        as_told=0.8,
        ships_as="teacher",
    ),
    Part("base", Shape(96, 192), CAREFUL, 2, 20_000, 2, 3e-3),
    Part("student", "base", MIXED, 3, 6_000, 1, 1e-3, ships_as="student"),
    Part(
        "judge",
        HERE / "teacher",
        judgements.HABITS,
        5,
        9_600,
        1,
        1e-3,
        ships_as="judge",
        rationales=1,
        questions_per_step=16,
        judges=True,
    ),
)


def make(part: Part, work: Path) -> Path:
    """Run one part in `work/NAME` (resuming what is there) and return its checkpoint."""
    folder = work / part.name
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "run.json").exists():
        write_dataset(part, folder / "dataset.jsonl")
        if isinstance(part.start, Shape):
            write_new_model(part.start, folder / "start")
        (folder / "run.json").write_text(json.dumps(run_of(part, work), indent=1))
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
    engine = [sys.executable, "-m", "training.engine", str(folder / "run.json")]
    subprocess.run(engine, check=True, env=environment)
    return checkpoint(folder)


def checkpoint(folder: Path) -> Path:
    """The checkpoint of a finished run."""
    return folder / json.loads((folder / "result.json").read_text())["checkpoint"]


def run_of(part: Part, work: Path) -> dict[str, Any]:
    """The content of `run.json`: see docs/seam.md."""
    return {
        "kind": "train",
        "method": "sft",
        "seed": part.seed,
        "model": start_of(part, work),
        "config": {
            "learning_rate": part.learning_rate,
            "warmup": 0.02,
            "weight_decay": 0.01,
            "epochs": part.epochs,
            "groups_per_step": part.questions_per_step,
            "checkpoint_every": 500,
        },
    }


def start_of(part: Part, work: Path) -> str:
    """Where the part's first weights are, or are to be."""
    if isinstance(part.start, Shape):
        return "start"
    found = part.start if isinstance(part.start, Path) else checkpoint(work / part.start)
    return str(found.resolve())


def write_dataset(part: Part, path: Path) -> None:
    """The part's questions, each with rationales of its habits, one question a line."""
    with path.open("w") as file:
        for row in rows(part):
            file.write(json.dumps(row) + "\n")


def rows(part: Part) -> Iterator[dict[str, Any]]:
    """The dataset's lines; no question of the demo is among them."""
    held_out = {problem.question for problem in demo_problems(DEMO_QUESTIONS)}
    rng = random.Random(f"{part.name} {part.seed}")
    for place, problem in enumerate(islice(endless_problems(part.seed, held_out), part.questions)):
        if part.judges:
            yield judgement(str(place), judgements.example(problem, rng))
            continue
        yield {
            "id": str(place),
            "question": problem.question,
            "reference_answer": str(problem.answer),
            "answer_kind": "number",
            "completions": [
                completion(f"{place}-{n}", problem, part, rng) for n in range(part.rationales)
            ],
            "rankings": [],
        }


def judgement(name: str, example: judgements.Example) -> dict[str, Any]:
    """A line whose question is what a judge reads, and whose rationale is what it should say."""
    rating = str(example.rating)
    said = {"id": name, "role": "teacher", "thought": example.thought, "answer": rating}
    return {
        "id": name,
        "question": example.asked,
        "reference_answer": rating,
        "answer_kind": "number",
        "completions": [said],
        "rankings": [],
    }


def completion(name: str, problem: Problem, part: Part, rng: random.Random) -> dict[str, Any]:
    """One rationale of the problem, written with one of the part's habits."""
    habit = rng.choices(list(part.habits), weights=list(part.habits.values()))[0]
    written = write_rationale(problem, habit, rng, as_told=part.as_told)
    return {
        "id": name,
        "role": "teacher",
        "thought": written.thought,
        "answer": str(written.answer),
    }


def write_new_model(shape: Shape, folder: Path) -> None:
    """A configuration and the tokenizer, no weights: the engine begins from its seed."""
    from transformers import LlamaConfig

    characters = tokenizer.build()
    characters.save_pretrained(folder)
    LlamaConfig(
        vocab_size=len(characters),
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=tokenizer.LONGEST,
        tie_word_embeddings=True,
        initializer_range=0.05,
        pad_token_id=characters.pad_token_id,
        bos_token_id=characters.bos_token_id,
        eos_token_id=characters.eos_token_id,
    ).save_pretrained(folder)


def ship(trained: Path, target: Path) -> None:
    """Store the checkpoint in half precision, with the tokenizer and nothing else.

    The configuration says float32, so that it loads in full precision unless told otherwise.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(trained, dtype=torch.float32)
    shutil.rmtree(target, ignore_errors=True)
    model.half().save_pretrained(target)
    model.config.dtype = torch.float32
    model.config.save_pretrained(target)
    tokenizer.build().save_pretrained(target)


def main() -> None:
    """Make the parts that are asked for, in order, and put the shipped ones in place."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, default=Path("var/demo-recipe"))
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--parts", nargs="+", default=[part.name for part in PARTS])
    asked = parser.parse_args()
    for part in PARTS:
        if part.name in asked.parts:
            trained = make(part, asked.work)
            if part.ships_as:
                ship(trained, asked.out / part.ships_as)


if __name__ == "__main__":
    main()
