"""Derivations as trees: the ways to work a story out, and walking one, with a fault if asked.

A tree's steps are written from the leaves up. `ways` gives the trees of one story; `walk` gives the
lines of one tree, all of whose results are whole numbers from 0 to 99.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

LARGEST = 99
MOST_STEPS = 4


@dataclass(frozen=True)
class Node:
    """One step: `left op right`. `label` says in the story's words what happens in it."""

    op: str
    left: Expression
    right: Expression
    label: str = ""


Expression = int | Node


@dataclass(frozen=True)
class Move:
    """One event: what it does to the pile (`+ - * /`), by how much, and how it is told."""

    op: str
    amount: Expression
    told: str


def ways(start: Expression, moves: list[Move]) -> Iterator[Node]:
    """The trees: as told, in other orders, regrouped; each with swapped sides and unrolled."""
    for tree in dict.fromkeys(_orders(start, moves)):
        for way in (tree, _swapped(tree), _unrolled(tree)):
            assert isinstance(way, Node)
            yield way


def _orders(pile: Expression, moves: list[Move]) -> Iterator[Expression]:
    """The moves between changes of scale in every order that `_run_orders` knows."""
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
    """The run as told; two moves also the other way round and summed up, more also gains first."""
    yield _in_turn(pile, run)
    if len(run) == 2:
        yield _in_turn(pile, run[::-1])
        yield _regrouped(pile, *run)
    elif len(run) > 2:
        yield _in_turn(pile, sorted(run, key=lambda move: move.op))  # "+" sorts before "-"


def _in_turn(pile: Expression, run: list[Move]) -> Expression:
    for move in run:
        pile = Node(move.op, pile, move.amount, move.told)
    return pile


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


@dataclass(frozen=True)
class Line:
    """One step as written, and the result that the next steps work with."""

    text: str
    op: str
    result: int


class OutOfRange(ValueError):
    """A result that is no whole number from 0 to 99."""


def value(tree: Expression) -> int:
    """What the expression comes to."""
    return tree if isinstance(tree, int) else apply(tree.op, value(tree.left), value(tree.right))


def write(tree: Node, named: bool = False) -> str:
    """The thought: one equation a line, `named` with the story's words before it."""
    return joined(walk(tree, named))


MISREADINGS = {"+": "-", "-": "+", "*": "+", "/": "-"}


def walk(
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
        total = apply(op, left, right) + (slip or {}).get(len(lines), 0)
        if not 0 <= total <= LARGEST:
            raise OutOfRange(total)
        label = f"{node.label}: " if named and node.label else ""
        lines.append(Line(f"{label}{left} {op} {right} = {total}", op, total))
        return total

    result(tree)
    return lines


def joined(lines: list[Line]) -> str:
    """The lines as one thought."""
    return "\n".join(line.text for line in lines)


def fits(tree: Node) -> bool:
    """Whether every result is in range and the steps are few enough."""
    try:
        return len(walk(tree)) <= MOST_STEPS
    except OutOfRange:
        return False


def apply(op: str, left: int, right: int) -> int:
    """One operation. Raises `OutOfRange` for a division that is not whole."""
    if op == "/":
        if left % right:
            raise OutOfRange(f"{left} / {right}")
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
    return apply(op, left, right) == result
