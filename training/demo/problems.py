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
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Literal

Habit = Literal["careful", "misread", "drop", "slip"]
HABITS: tuple[Habit, ...] = ("careful", "misread", "drop", "slip")

LARGEST = 99
MOST_STEPS = 4
LONGEST_QUESTION = 130
LONGEST_THOUGHT = 100

# The demo's own questions are the first of this seed; the recipe leaves every one of them out of
# its training data.
DEMO_SEED = 2026
DEMO_QUESTIONS = 2000


@dataclass(frozen=True)
class Node:
    """One step: `left op right`. `label` says in the story's words what happens in it."""

    op: str
    left: Expression
    right: Expression
    label: str = ""


Expression = int | Node


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


@dataclass(frozen=True)
class Move:
    """One event: what it does to the pile (`+ - * /`), by how much, and how it is told."""

    op: str
    amount: Expression
    told: str


def make_problems(n: int, seed: int, exclude: Collection[str] = ()) -> list[Problem]:
    """`n` problems with `n` different questions, none of them in `exclude`.

    The first problems of a seed stay the same whatever `n` is.
    """
    rng = random.Random(f"stillroom problems {seed}")
    seen = set(exclude)
    problems: list[Problem] = []
    while len(problems) < n:
        problem = _draw(rng)
        if problem is not None and problem.question not in seen:
            seen.add(problem.question)
            problems.append(problem)
    return problems


def demo_problems(n: int) -> list[Problem]:
    """The first `n` questions that the recipe's checkpoints have never seen."""
    if n > DEMO_QUESTIONS:
        raise ValueError(f"only {DEMO_QUESTIONS} demo questions are kept out of training, not {n}")
    return make_problems(n, DEMO_SEED)


def _draw(rng: random.Random) -> Problem | None:
    """One problem, or None where the numbers came out too small, too large or too long."""
    steps = rng.choices((2, 3, 4), weights=(4, 4, 2))[0]
    pronoun = rng.choice(tuple(PEOPLE))
    name = rng.choice(PEOPLE[pronoun])
    things = rng.choice(tuple(THINGS))
    opening, start, steps_left = _opening(rng, name, things, steps)
    moves = _moves(rng, things, start, steps_left)
    if moves is None:
        return None
    ending = rng.choice(ENDINGS).format(things=things, name=name, pronoun=pronoun.lower())
    question = f"{opening} {_tell(rng, pronoun, moves)} {ending}"
    trees = [tree for tree in dict.fromkeys(_ways(start, moves)) if _fits(tree)]
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
        if move.op == "/" and pile % 2:
            return None
        pile = _apply(move.op, pile, value(move.amount))
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


# --- The ways to work it out ----------------------------------------------------------------------


def _ways(start: Expression, moves: list[Move]) -> Iterator[Node]:
    """The trees: as told, in other orders, regrouped; each with swapped sides and unrolled."""
    for tree in dict.fromkeys(_orders(start, moves)):
        assert isinstance(tree, Node)
        yield tree
        yield _swapped(tree)
        yield _unrolled(tree)


def _orders(pile: Expression, moves: list[Move]) -> Iterator[Expression]:
    """Every order of gains and losses between changes of scale, or their sum worked out first."""
    run: list[Move] = []
    for place, move in enumerate(moves):
        if move.op in "*/":
            for worked in _run_orders(pile, run):
                scaled = Node(move.op, worked, 2, "doubled" if move.op == "*" else "half")
                yield from _orders(scaled, moves[place + 1 :])
            return
        run.append(move)
    yield from _run_orders(pile, run)


def _run_orders(pile: Expression, run: list[Move]) -> Iterator[Expression]:
    for order in permutations(run):
        tree = pile
        for move in order:
            tree = Node(move.op, tree, move.amount, move.told)
        yield tree
    if len(run) == 2:
        yield _regrouped(pile, *run)


def _regrouped(pile: Expression, first: Move, second: Move) -> Node:
    """What both moves change together, worked out before the pile is touched."""
    if first.op == second.op:
        return Node(first.op, pile, Node("+", first.amount, second.amount, "together"), "in all")
    larger, smaller = sorted((first, second), key=lambda move: value(move.amount), reverse=True)
    return Node(larger.op, pile, Node("-", larger.amount, smaller.amount, "change"), "in all")


def _swapped(tree: Expression) -> Expression:
    if isinstance(tree, int):
        return tree
    left, right = _swapped(tree.left), _swapped(tree.right)
    if tree.op in "+*":
        left, right = right, left
    return replace(tree, left=left, right=right)


def _unrolled(tree: Expression) -> Expression:
    """The tree with `2 * n` and `n * 2` written as `n + n`."""
    if isinstance(tree, int):
        return tree
    left, right = _unrolled(tree.left), _unrolled(tree.right)
    if tree.op == "*" and left == 2 and isinstance(right, int):
        return replace(tree, op="+", left=right, right=right)
    if tree.op == "*" and right == 2 and isinstance(left, int):
        return replace(tree, op="+", left=left, right=left)
    return replace(tree, left=left, right=right)


# --- Writing it down ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One step as written, and the result that the next steps work with."""

    text: str
    result: int


class _OutOfRange(ValueError):
    """A result that is no whole number from 0 to 99."""


def value(tree: Expression) -> int:
    """What the expression comes to."""
    return tree if isinstance(tree, int) else _apply(tree.op, value(tree.left), value(tree.right))


def write(tree: Node, named: bool = False) -> str:
    """The thought: one equation a line, `named` with the story's words before it."""
    return _joined(_walk(tree, named))


def write_rationale(
    problem: Problem, habit: Habit, rng: random.Random, named_share: float = 0.25
) -> Written:
    """One rationale for the problem, written with a habit.

    `careful` is right. `misread` takes one operation for another, `drop` stops before the last
    step, `slip` gets one result wrong by one; the answer is then nearly always wrong, and the steps
    after the fault follow from it.
    """
    tree = rng.choice(problem.trees)
    named = rng.random() < named_share and len(write(tree, named=True)) <= LONGEST_THOUGHT
    lines = _walk(tree, named)
    if habit == "drop":
        lines = lines[:-1]
    elif habit != "careful":
        lines = _faulty(tree, named, habit, problem.answer, rng) or lines[:-1]
    return Written(_joined(lines), lines[-1].result)


def _faulty(
    tree: Node, named: bool, habit: Habit, answer: int, rng: random.Random
) -> list[Line] | None:
    """The walk with one fault that leads to a wrong answer, at a random step; None if none does."""
    steps = len(_walk(tree))
    for place in rng.sample(range(steps), steps):
        off = rng.choice((-1, 1))
        try:
            lines = (
                _walk(tree, named, misread=place)
                if habit == "misread"
                else _walk(tree, named, slip={place: off})
            )
        except _OutOfRange:
            continue
        if lines[-1].result != answer:
            return lines
    return None


MISREADINGS = {"+": "-", "-": "+", "*": "+", "/": "-"}


def _walk(
    tree: Node, named: bool = False, misread: int = -1, slip: dict[int, int] | None = None
) -> list[Line]:
    """The tree's steps from the leaves up, step `misread` with its operation mistaken.

    `slip` says by how much the result of a step is off.
    """
    lines: list[Line] = []

    def result(node: Expression) -> int:
        if isinstance(node, int):
            return node
        left, right = result(node.left), result(node.right)
        op = MISREADINGS[node.op] if len(lines) == misread else node.op
        total = _apply(op, left, right) + (slip or {}).get(len(lines), 0)
        if not 0 <= total <= LARGEST:
            raise _OutOfRange(total)
        label = f"{node.label}: " if named and node.label else ""
        lines.append(Line(f"{label}{left} {op} {right} = {total}", total))
        return total

    result(tree)
    return lines


def _joined(lines: list[Line]) -> str:
    return "\n".join(line.text for line in lines)


def _fits(tree: Node) -> bool:
    try:
        return len(_walk(tree)) <= MOST_STEPS
    except _OutOfRange:
        return False


def _apply(op: str, left: int, right: int) -> int:
    if op == "/":
        if left % right:
            raise _OutOfRange(f"{left} / {right}")
        return left // right
    return {"+": left + right, "-": left - right, "*": left * right}[op]


EQUATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")


def steps_hold(thought: str) -> list[bool]:
    """For each equation in the thought, whether its arithmetic is right."""
    found = EQUATION.findall(thought)
    return [_holds(int(left), op, int(right), int(result)) for left, op, right, result in found]


def _holds(left: int, op: str, right: int, result: int) -> bool:
    if op == "/":
        return left == right * result
    return _apply(op, left, right) == result
