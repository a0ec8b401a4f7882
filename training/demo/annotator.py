"""The simulated annotator: stands in for the person who ranks and accepts in the headless demo.

It is a program, and whatever it writes is to be shown as such. It does what a careful person would
do with these problems: compare the answer with the reference, check every equation, put what is
equally good on one rank. And now and then it makes a mistake, as a person does: with probability
`noise` it takes a rationale for one grade better or worse than it is.

    grade 3   right answer, every equation right    → accepted
    grade 2   right answer, some equation wrong
    grade 1   wrong answer, every equation right (an operation misread, a step dropped)
    grade 0   wrong answer, some equation wrong, or nothing to check

What it thinks of a text depends on the seed, the question and the text alone: showing the same
texts in another order gives the same judgement.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from training.demo.derivations import steps_hold

ANSWER = re.compile(r"####\s*(-?\d+)\s*$")
BEST = 3


@dataclass(frozen=True)
class Judgement:
    """What the simulated annotator says of one group, in the order shown."""

    ranks: list[int]  # 1 is best; equals share a rank, and the next rank is one further (1, 1, 2)
    accepted: list[bool]


def judge(
    question: str, reference_answer: str, rationales: Sequence[str], seed: int, noise: float = 0.05
) -> Judgement:
    """Rank and accept the rationales of one question, each a text that ends in `#### answer`."""
    grades = [
        _noisy(grade(reference_answer, text), noise, f"{seed}\0{question}\0{text}")
        for text in rationales
    ]
    order = sorted(set(grades), reverse=True)
    return Judgement([order.index(each) + 1 for each in grades], [each == BEST for each in grades])


def grade(reference_answer: str, rationale: str) -> int:
    """0 … 3, without any noise: see the table above."""
    answer = ANSWER.search(rationale)
    steps = steps_hold(rationale)
    right = answer is not None and answer.group(1) == reference_answer.strip()
    return 2 * right + (bool(steps) and all(steps))


def _noisy(true_grade: int, noise: float, seed: str) -> int:
    rng = random.Random(seed)
    if rng.random() >= noise:
        return true_grade
    return min(BEST, max(0, true_grade + rng.choice((-1, 1))))
