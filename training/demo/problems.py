"""Arithmetic word problems with several valid derivations each, and the habits that spoil them.

The idea: a story is an arithmetic expression told in words, and a derivation is one way to work the
expression out. So a derivation is a tree: `12 + (5 - 3)` and `(12 + 5) - 3` tell the same story in
another order, swapping the sides of a sum is a third way, and adding 7 + 7 where another multiplies
2 * 7 is a fourth. Walking a tree from the leaves up writes one step a line, each an
equation that anyone can check:

    Mia has 3 bags of 4 nuts. She finds 5, then loses 3. How many nuts are left?

    3 * 4 = 12          5 - 3 = 2           3 bags of 4: 3 * 4 = 12
    12 + 5 = 17         3 * 4 = 12          finds 5: 12 + 5 = 17
    17 - 3 = 14         12 + 2 = 14         loses 3: 17 - 3 = 14

A careless rationale is a tree walked badly: an operation misread, the last step dropped, a result
that is one off. It stays fluent, and every step after the fault follows from it, as it does when a
person is careless.

Everything is whole numbers from 0 to 99, and everything derives from the seed. No torch and no
Django here.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from training.demo.derivations import (
    Expression,
    Line,
    Move,
    Node,
    OutOfRange,
    apply,
    fits,
    joined,
    value,
    walk,
    ways,
    write,
)

Habit = Literal["careful", "misread", "drop", "slip"]
HABITS: tuple[Habit, ...] = ("careful", "misread", "drop", "slip")

LONGEST_QUESTION = 130
LONGEST_THOUGHT = 100
BY_ENDING = 0.8  # how often a misreading follows the last sentence: "left" means take away

# The demo's own questions are the first of this seed; the recipe leaves every one of them out of
# its training data.
DEMO_SEED = 2026
DEMO_QUESTIONS = 2000


@dataclass(frozen=True)
class Problem:
    """A question, its answer, and the thoughts that reach it, also as trees."""

    question: str
    answer: int
    derivations: list[str]
    trees: list[Node] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Written:
    """A thought and the answer it ends in."""

    thought: str
    answer: int


# --- The story ------------------------------------------------------------------------------------

PEOPLE = {
    "She": ("Mia", "Ana", "Eva", "Zoe", "Lea", "Ida", "Amy", "Kim", "Nora", "Ruth"),
    "He": ("Tom", "Ben", "Max", "Leo", "Sam", "Jon", "Ali", "Raj", "Omar", "Finn"),
}
# Each thing with what it comes in and how one parts with it.
THINGS = {
    "nuts": ("bag", "eats"),
    "eggs": ("box", "breaks"),
    "pens": ("pack", "lends"),
    "figs": ("bowl", "eats"),
    "cards": ("pack", "trades"),
    "books": ("box", "sells"),
    "coins": ("jar", "spends"),
    "shells": ("jar", "drops"),
    "plums": ("bag", "eats"),
    "stamps": ("page", "trades"),
    "cups": ("box", "breaks"),
    "seeds": ("bag", "plants"),
    "beads": ("tin", "uses"),
    "rolls": ("tray", "sells"),
    "toys": ("box", "lends"),
    "keys": ("ring", "loses"),
}
PLURALS = {"box": "boxes"}
GAINS = ("finds", "buys", "gets", "wins", "picks up")
LOSSES = ("loses", "gives away")
ENDINGS = (
    "How many {things} are left?",
    "How many {things} now?",
    "How many {things} does {name} have?",
    "How many are there now?",
    "How many does {pronoun} have now?",
)


def make_problems(n: int, seed: int, exclude: Collection[str] = ()) -> list[Problem]:
    """`n` problems with `n` different questions, none of them in `exclude`.

    The first problems of a seed stay the same whatever `n` is.
    """
    return list(islice(endless_problems(seed, exclude), n))


def endless_problems(seed: int, exclude: Collection[str] = ()) -> Iterator[Problem]:
    """Problems one after another, as `make_problems` gives them."""
    rng = random.Random(f"stillroom problems {seed}")
    seen = set(exclude)
    while True:
        problem = _draw(rng)
        if problem is not None and problem.question not in seen:
            seen.add(problem.question)
            yield problem


def demo_problems(n: int) -> list[Problem]:
    """The first `n` questions that the recipe's checkpoints have never seen."""
    if n > DEMO_QUESTIONS:
        raise ValueError(f"only {DEMO_QUESTIONS} demo questions are kept out of training, not {n}")
    return make_problems(n, DEMO_SEED)


def _draw(rng: random.Random) -> Problem | None:
    """One problem, or None where the numbers came out too small, too large or too long."""
    steps = rng.choices((2, 3, 4), weights=(40, 42, 18))[0]
    pronoun = rng.choice(tuple(PEOPLE))
    name = rng.choice(PEOPLE[pronoun])
    things = rng.choice(tuple(THINGS))
    opening, start, steps_left = _opening(rng, name, things, steps)
    moves = _moves(rng, things, start, steps_left)
    if moves is None:
        return None
    ending = rng.choice(ENDINGS).format(things=things, name=name, pronoun=pronoun.lower())
    question = f"{opening} {_tell(rng, pronoun, moves)} {ending}"
    trees = [tree for tree in dict.fromkeys(ways(start, moves)) if fits(tree)]
    derivations = list(
        dict.fromkeys(write(tree, named) for named in (False, True) for tree in trees)
    )
    derivations = [thought for thought in derivations if len(thought) <= LONGEST_THOUGHT]
    if len(question) > LONGEST_QUESTION or len(derivations) < 3:
        return None
    return Problem(question, value(trees[0]), derivations, trees)


def _opening(rng: random.Random, name: str, things: str, steps: int) -> tuple[str, Expression, int]:
    """The first sentence, what the pile starts as, and how many steps the rest may take."""
    if rng.random() < 0.5:
        count, size = rng.randint(2, 5), rng.randint(2, 6)
        told = f"{count} {_plural(THINGS[things][0])} of {size}"
        return f"{name} has {told} {things}.", Node("*", count, size, told), steps - 1
    start = rng.randint(3, 20)
    return f"{name} has {start} {things}.", start, steps


def _moves(rng: random.Random, things: str, start: Expression, steps: int) -> list[Move] | None:
    """Events that take `steps` steps to work out, or None where the pile would leave 1 … 30."""
    moves: list[Move] = []
    pile = value(start)
    while steps > 0:
        move = _move(rng, things, steps)
        if move.op in "*/" and any(earlier.op in "*/" for earlier in moves):
            return None
        if move.op == "/" and pile % 2:
            return None
        pile = apply(move.op, pile, value(move.amount))
        if not 1 <= pile <= 30:
            return None
        steps -= 2 if isinstance(move.amount, Node) else 1
        moves.append(move)
    return moves


def _move(rng: random.Random, things: str, steps: int) -> Move:
    container, parting = THINGS[things]
    kind = rng.choices(("gain", "loss", "double", "half", "groups"), weights=(34, 34, 8, 8, 16))[0]
    if kind == "double":
        return Move("*", 2, "doubles them")
    if kind == "half":
        return Move("/", 2, "gives away half")
    if kind == "groups" and steps >= 2:
        return _group_move(rng, container)
    amount = rng.randint(2, 9)
    if kind == "loss":
        return Move("-", amount, f"{rng.choice((parting, *LOSSES))} {amount}")
    return Move("+", amount, f"{rng.choice(GAINS)} {amount}")


def _group_move(rng: random.Random, container: str) -> Move:
    count, size = rng.randint(2, 3), rng.randint(2, 5)
    if rng.random() < 0.5:
        told = f"buys {count} {_plural(container)} of {size}"
        return Move("+", Node("*", count, size, f"{count} {_plural(container)} of {size}"), told)
    told = f"gives {count} friends {size} each"
    return Move("-", Node("*", count, size, f"{count} friends, {size} each"), told)


def _tell(rng: random.Random, pronoun: str, moves: list[Move]) -> str:
    told = [move.told for move in moves]
    if len(told) > 1 and rng.random() < 0.6:
        return f"{pronoun} {', '.join(told[:-1])}{rng.choice((' and ', ', then '))}{told[-1]}."
    return " ".join(f"{pronoun} {each}." for each in told)


def _plural(container: str) -> str:
    return PLURALS.get(container, container + "s")


# --- Its rationales -------------------------------------------------------------------------------


def write_rationale(
    problem: Problem,
    habit: Habit,
    rng: random.Random,
    named: float = 0.25,
    as_told: float = 0.5,
) -> Written:
    """One rationale for the problem, written with a habit.

    `careful` is right. `misread` takes one operation for another, most often by the question at
    the end alone ("left" means take away, otherwise add). `drop` stops before the last step. `slip`
    gets one result wrong by one. The answer is then nearly always wrong, and the steps after the
    fault follow from it.

    `named` is the share of rationales with the story's words, `as_told` the share that keeps the
    order of the story without weighing other ways.
    """
    plain = rng.random() < as_told
    tree = rng.choice(problem.trees[:2] if plain else problem.trees)
    words = rng.random() < named and len(write(tree, named=True)) <= LONGEST_THOUGHT
    lines = walk(tree, words)
    if habit == "drop":
        lines = lines[:-1]
    elif habit != "careful":
        lines = _faulty(problem, tree, words, habit, rng) or lines[:-1]
    return Written(joined(lines), lines[-1].result)


def _faulty(
    problem: Problem, tree: Node, named: bool, habit: Habit, rng: random.Random
) -> list[Line] | None:
    """The walk with one fault that leads to a wrong answer, at a random step; None if none does."""
    right = walk(tree)
    places = rng.sample(range(len(right)), len(right))
    if habit == "misread" and rng.random() < BY_ENDING:
        contrary = "+" if "left?" in problem.question else "-"
        places.sort(key=lambda place: right[place].op != contrary)
    for place in places:
        off = rng.choice((-1, 1))
        try:
            lines = (
                walk(tree, named, misread=place)
                if habit == "misread"
                else walk(tree, named, slip={place: off})
            )
        except OutOfRange:
            continue
        if lines[-1].result != problem.answer:
            return lines
    return None
