"""Word problems with a noisy teacher's rationales, and the student that is to learn from them.

The problems, their derivations and the student are the demo's (`training/demo`): the student was
trained from nothing by the recipe there, and has never seen these questions. Of six rationales a
question the first is careful; of the others 48 % are spoilt, 40 % of all, in ways that a person
meets:

    wrong    a careless derivation and the wrong answer it leads to      15 % of all
    chance   wrong steps, and the right answer all the same               8 %
    copy     the first one over again, in other words                     8 %
    long     a careful one with two or three steps that change nothing    8 %
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.decoding.record import Completion, Question
from training.demo.derivations import write
from training.demo.problems import DEMO_QUESTIONS, Problem, Written, demo_problems, write_rationale

STUDENT = Path(__file__).parents[2] / "training" / "demo" / "student"
KINDS = {"careful": 0.52, "wrong": 0.18, "chance": 0.10, "copy": 0.10, "long": 0.10}
PER_QUESTION = 6


@dataclass(frozen=True)
class Rationale:
    """One of the pool, and how it was made, which no selection is told."""

    kind: str
    thought: str
    answer: int


def problems_of(seed: int, learned: int, held_out: int) -> tuple[list[Problem], list[Problem]]:
    """Questions to learn from and others to be measured by, different ones for each seed."""
    chosen = random.Random(f"questions {seed}").sample(
        demo_problems(DEMO_QUESTIONS), learned + held_out
    )
    return chosen[:learned], chosen[learned:]


def pool_of(problem: Problem, dice: random.Random) -> list[Rationale]:
    """The teacher's rationales of one problem; the first is careful, so that a copy has a model."""
    kinds = dice.choices(list(KINDS), weights=list(KINDS.values()), k=PER_QUESTION - 1)
    found = [Rationale("careful", *careful(problem, dice))]
    for kind in kinds:
        found.append(Rationale(kind, *written(problem, kind, found[0], dice)))
    return found


def written(problem: Problem, kind: str, first: Rationale, dice: random.Random) -> tuple[str, int]:
    """Thought and answer of one kind."""
    if kind == "copy":
        return copied(problem, first)
    if kind == "long":
        return padded(careful(problem, dice)[0], dice), problem.answer
    if kind == "careful":
        return careful(problem, dice)
    faulty = careless(problem, dice)
    return faulty.thought, problem.answer if kind == "chance" else faulty.answer


def careless(problem: Problem, dice: random.Random) -> Written:
    """A derivation that leads to a wrong answer: a dropped last step may have changed nothing."""
    while True:
        habit = dice.choice(("misread", "misread", "slip", "drop"))
        found = write_rationale(problem, habit, dice)
        if found.answer != problem.answer:
            return found


def careful(problem: Problem, dice: random.Random) -> tuple[str, int]:
    said = write_rationale(problem, "careful", dice)
    return said.thought, said.answer


def copied(problem: Problem, first: Rationale) -> tuple[str, int]:
    """The same derivation with the story's words, or without them."""
    for tree in problem.trees:
        plain, named = write(tree), write(tree, named=True)
        if first.thought in (plain, named):
            return (named if first.thought == plain else plain), first.answer
    return first.thought, first.answer


def padded(thought: str, dice: random.Random) -> str:
    """The thought with two or three steps that change nothing, all before its last step."""
    lines = thought.split("\n")
    for _ in range(dice.randint(2, 3)):
        place = dice.randint(1, max(1, len(lines) - 1))
        number = lines[place - 1].rsplit(" ", 1)[1]
        lines.insert(place, dice.choice((f"{number} + 0 = {number}", f"{number} * 1 = {number}")))
    return "\n".join(lines)


def question(number: str, problem: Problem, rationales: Sequence[Rationale] = ()) -> Question:
    """One line of a dataset."""
    return Question(
        id=number,
        question=problem.question,
        reference_answer=str(problem.answer),
        completions=[
            Completion(id=f"{number}/{place}", thought=one.thought, answer=str(one.answer))
            for place, one in enumerate(rationales)
        ],
    )


def facts(found: Sequence[Rationale]) -> dict[str, Any]:
    """How many of each kind there are."""
    return {kind: sum(one.kind == kind for one in found) for kind in KINDS}
