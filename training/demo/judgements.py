"""What the demo's judge learns from: rationales with a right judgement of each.

The judge reads a question and a rationale in the compact style (`training/decoding/judge_prompts`).
It works the problem out itself, works each step of the rationale out again, compares, and rates:

    Zoe has 3 bags of 4 nuts. She finds 5, then loses 3. How many nuts are left?
    Rationale:                      3 * 4 = 12          its own way
    3 * 4 = 12                      12 + 5 = 17
    12 + 5 = 18                     17 - 3 = 14
    18 - 3 = 15                     3 * 4 = 12 12 ok    each step: what it comes to, what was said
    #### 15                         12 + 5 = 17 18 no
    Check it and rate 1-10:         18 - 3 = 15 15 ok
                                    14 15 no            the answer: its own, and what was said
                                    #### 1              neither answer nor steps are right

A model of this size compares two numbers only if they stand side by side; with the comparisons left
to its head it rated hardly better than at random (docs/negative-results.md). Its ratings are the
simulated annotator's grades (`annotator.grade`) on the scale of 1 to 10.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from training.decoding.judge_plan import JudgePlan
from training.decoding.judge_prompts import Text, prompt
from training.demo.annotator import grade
from training.demo.derivations import EQUATION, OutOfRange, apply, write
from training.demo.problems import Habit, Problem, write_rationale

RATINGS = (1, 4, 7, 10)  # of the grades 0 … 3
PLAN = JudgePlan(style="compact", max_new_tokens=128)
HABITS: dict[Habit, float] = {"careful": 0.42, "misread": 0.25, "drop": 0.1, "slip": 0.23}
CORRECTED = 0.3  # how often a slip ends in the right answer all the same


@dataclass(frozen=True)
class Example:
    """What the judge reads, and what it should say of it."""

    asked: str
    thought: str
    rating: int


def example(problem: Problem, rng: random.Random) -> Example:
    """A rationale of the problem, written with a random habit, and its judgement."""
    habit = rng.choices(list(HABITS), weights=list(HABITS.values()))[0]
    written = write_rationale(problem, habit, rng)
    corrected = habit == "slip" and rng.random() < CORRECTED
    answer = str(problem.answer if corrected else written.answer)
    return judged(problem, written.thought, answer)


def judged(problem: Problem, thought: str, answer: str) -> Example:
    """The right judgement of a rationale."""
    text = Text(thought, answer)
    own = write(problem.trees[0])
    compared = f"{problem.answer} {answer} {alike(str(problem.answer), answer)}"
    worked = "\n".join([own, *steps_again(thought), compared])
    asked = prompt(PLAN, problem.question, str(problem.answer), [text])
    return Example(asked, worked, RATINGS[grade(str(problem.answer), str(text))])


def steps_again(thought: str) -> list[str]:
    """Each equation of the thought worked out again, beside what was said."""
    lines = []
    for left, op, right, said in EQUATION.findall(thought):
        result = _result(left, op, right)
        lines.append(f"{left} {op} {right} = {result} {said} {alike(result, said)}")
    return lines


def alike(one: str, other: str) -> str:
    return "ok" if one == other else "no"


def _result(left: str, op: str, right: str) -> str:
    """What it comes to; `?` where that is no whole number."""
    try:
        return str(apply(op, int(left), int(right)))
    except (OutOfRange, ZeroDivisionError):
        return "?"
