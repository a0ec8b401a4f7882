"""MoRSD: right rationales, no two alike, and of these the ones that help the student to train.

    RD(r) = PPL(a | q, r) / PPL(a | q),   PPL = exp(-mean log p of the answer's tokens)

Model-Oriented Rationale Selection Distillation (Yan et al., Findings of EMNLP 2025, 2509.23574)
picks rationales by accuracy, diversity and difficulty. Its abstract says that Rationale Difficulty
measures how able the student is to give the right answer with the rationale before it. The exact
formula, the thresholds and the figures were not in what we could read: this is a reconstruction
in the manner of IFD's ratio, and the paper's figures are not reproduced.

Three sieves, in this order: the answer is right (and, if asked, enough steps check); the student
has scored it and RD < 1, that is, the rationale makes the right answer likelier; of rationales with
the same equations, or with more than `similarity` of their words in common, one stays. Then k a
question or a share of all, lowest RD first. `logdiff` is log RD and gives the same order; `prob` is
p(a | q, r) itself, where a high probability is a low difficulty.

Departures: of two that are alike the one that the order prefers stays, so difficulty is measured
before diversity; `order` is a setting since summaries of the paper say that low RD is better while
its words "appropriate difficulty" may mean the middle.

Traps: the student that scores has to be the one that is trained, so a score run belongs to each
new student; `prob` falls with the length of the answer and does not compare between questions; the
answer inside the thought has to be masked, or RD measures copying (`leakage` of the score run).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from math import log
from statistics import median
from typing import Literal

from pydantic import Field

from training.measures.steps import steps
from training.selection import Verdict, correct
from training.selection.keeping import Keeping, keep_first
from training.selection.record import Asked, Candidate, student_field

TITLE = "MoRSD"
HELP = "Right, no two alike, and helpful to the student that is to be trained."

RATIO, PROBABILITY = "rationale_difficulty", "answer_probability"
_WORD = re.compile(r"\d+(?:\.\d+)?|\w+|[^\w\s]")


class Config(Keeping):
    """The three sieves, and how many stay."""

    student: str = student_field("")
    valid_steps: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Least share of valid steps",
        description="0 asks for the answer alone; 1 for a chain whose every checked step holds.",
    )
    similarity: float = Field(
        0.9,
        ge=0,
        le=1,
        title="Most similar",
        description="Of two of a question with the same equations, or with more of their words in "
        "common than this, one stays. 1 keeps both.",
    )
    helps: bool = Field(
        True,
        title="Only what helps",
        description="Leave out those that make the right answer no likelier (RD is 1 or more).",
    )
    variant: Literal["ratio", "logdiff", "prob"] = Field(
        "ratio",
        title="Difficulty",
        description="ratio: perplexity of the answer with the rationale over that without. "
        "logdiff: its logarithm. prob: the answer's probability with it, high is easy.",
    )
    order: Literal["lowest", "middle", "highest"] = Field(
        "lowest",
        title="Take first",
        description="The easiest, those nearest to the median, or the hardest.",
    )


def select(question: Asked, config: Config) -> list[Verdict]:
    """Leave out what is wrong, not scored, no help, or like another one that is kept."""
    verdicts = {one.id: unfit(one, config) for one in question.candidates}
    fit = [one for one in question.candidates if verdicts[one.id] is None]
    looks: list[tuple[tuple[str, ...], frozenset[str]]] = []
    for one in preferred(fit, config):
        look = looks_of(one.thought)
        if any(alike(look, other) > config.similarity for other in looks):
            verdicts[one.id] = "Nearly the same as another one of its question"
        else:
            looks.append(look)
    return [verdicts[one.id] for one in question.candidates]


def rank(questions: Sequence[Asked], config: Config) -> list[list[Verdict]]:
    """Keep the preferred ones by difficulty."""
    return keep_first(questions, config, lambda pool: preferred(pool, config))


def unfit(candidate: Candidate, config: Config) -> Verdict:
    """Accuracy, then whether the student finds it of any help."""
    wrong = correct.verdict(candidate, correct.Config(valid_steps=config.valid_steps))
    unscored = candidate.unscored(RATIO, config.student)
    if wrong or unscored:
        return wrong or unscored
    if config.helps and candidate.score(RATIO, config.student) >= 1:
        return f"It does not help {config.student} to the answer"
    return None


def difficulty(candidate: Candidate, config: Config) -> float:
    """The chosen variant, so turned that a low value is easy."""
    if config.variant == "prob":
        return -candidate.score(PROBABILITY, config.student)
    ratio = candidate.score(RATIO, config.student)
    return log(ratio) if config.variant == "logdiff" else ratio


def preferred(pool: list[Candidate], config: Config) -> list[Candidate]:
    """The pool in the order in which it is taken; ties go to the one that came first."""
    values = {one.id: difficulty(one, config) for one in pool}
    if config.order == "middle" and pool:
        centre = median(values.values())
        values = {pk: abs(value - centre) for pk, value in values.items()}
    elif config.order == "highest":
        values = {pk: -value for pk, value in values.items()}
    return sorted(pool, key=lambda one: (values[one.id], one.id))


def looks_of(thought: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """A thought's equations in a normal form and order, and its set of words and signs."""
    return equations(thought), frozenset(_WORD.findall(thought.lower()))


@lru_cache(maxsize=20_000)  # a preview follows every change of a form
def equations(thought: str) -> tuple[str, ...]:
    """The normal form of each equation, in order."""
    return tuple(step.form for step in steps(thought))


def alike(
    left: tuple[tuple[str, ...], frozenset[str]], right: tuple[tuple[str, ...], frozenset[str]]
) -> float:
    """1 for the same equations, otherwise the Jaccard similarity of the words; in [0, 1]."""
    if left[0] and left[0] == right[0]:
        return 1.0
    every = left[1] | right[1]
    return len(left[1] & right[1]) / len(every) if every else 1.0
