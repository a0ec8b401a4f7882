"""The steps of a thought: every `expression = number` in it, recomputed exactly.

GSM8K's calculator marks (`<<48/2=24>>`) are steps as they stand; a line that has any is read by its
marks alone, since the text around them says the same once more. A result that was rounded holds if
it is right to the digits that it shows. What cannot be read as arithmetic, or can be read in two
ways (`1 1/2`), is no step: a checker must not call wrong what it does not understand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

from training.measures.arithmetic import (
    LONGEST,
    NUMBER,
    Tree,
    Unreadable,
    compute,
    form,
    in_western_figures,
    parse,
)

STEPS_VERSION = "3"  # stored beside shares of valid steps: another one as soon as one may differ
MOST = 1000  # steps of one thought

_MARK = re.compile(r"<<([^<>=\n]{1,200})=([^<>=\n]{1,40})>>")
_GO_ON = r"[.,]?\d|[,\s]\s?\d{3}(?!\d)|\s\d+/\d|\sand\s\(?\d+/\d"  # one number, cut in two
# What goes on behind the number makes it a side of the equation, not its result.
_RECKON = r"[A-Za-z]?\s{0,9}[-+*/×÷·^–−]\s{0,9}(?:[\d(]|[A-Za-z](?![A-Za-z]))"
_CLAIM = re.compile(rf"\s{{0,9}}(-?\s?[$€£]?\s?(?:{NUMBER})\s?%?)(?!{_GO_ON}|{_RECKON})")
_SIGNS = frozenset("0123456789.,$€£%()+-−*/×÷·^x \t")
_OPERATOR = re.compile(r"[\d)%]\s*[-+*/×÷·^−x]")
_BESIDE = re.compile(r"[\d)%]\s+(?=[$€£(\d.])")
_LEADING = re.compile(r"^(?:[\s,]|\.(?!\d))*")
_BULLET = re.compile(r"^[-−*+]\s+")
_FRONT = frozenset("-−*+")
_NEVER_FIRST = frozenset("+*/×÷·)x%^")
# `1 1/2` may be a label and a fraction; `60 / 3/4` may divide by three quarters.
_AMBIGUOUS = re.compile(r"\d\s+\d+\s?/\s?\d|/\s+\d+/\d")


@dataclass(frozen=True)
class Step:
    """One equation: its sides as written, what it computes, what it claims, whether it holds."""

    left: str
    right: str
    tree: Tree
    result: Fraction
    holds: bool

    @property
    def form(self) -> str:
        """The same for equations that differ in spaces or in the order of a sum or product."""
        return form(self.tree)


def steps(thought: str) -> list[Step]:
    """Every step of a thought, in order, at most `MOST`.

    Of a chain `a = b = c` the sides that end in a number count. What cannot be read (letters,
    missing brackets, division by zero) is left out. Takes time in proportion to the length.
    """
    lines = in_western_figures(thought).split("\n")
    found = (step for line in lines for step in _of_line(line))
    return list(islice((step for step in found if step is not None), MOST))


def valid_share(thought: str) -> float | None:
    """The share of steps that hold, in [0, 1]; None where there is no step to check."""
    found = steps(thought)
    return sum(step.holds for step in found) / len(found) if found else None


def all_hold(thought: str) -> bool:
    """Whether there is a step and every step holds."""
    found = steps(thought)
    return bool(found) and all(step.holds for step in found)


def _of_line(line: str) -> Iterator[Step | None]:
    marks = _MARK.findall(line)
    for left, right in marks or _equations(line):
        yield _step(left.strip(), right.strip())


def _equations(line: str) -> Iterator[tuple[str, str]]:
    """What stands before and after each `=` of a line, as far as it is arithmetic."""
    place = line.find("=")
    while place >= 0:
        claim = _CLAIM.match(line, place + 1)
        left = _expression_before(line, place) if claim else ""
        if claim and left:
            yield left, claim[1]
        place = line.find("=", place + 1)


def _expression_before(line: str, end: int) -> str:
    """The arithmetic that ends at `end`; "" if there is none, or if it is a part of algebra.

    A sign that stands apart in front of it is a bullet; a lone number beside it is a label's.
    """
    start = end
    while start > max(0, end - LONGEST) and line[start - 1] in _SIGNS:
        start -= 1
    words, run = line[:start].rstrip(), line[start:end]
    if _AMBIGUOUS.search(run):
        return ""
    run = _LEADING.sub("", run)
    if run[:1] in _FRONT and words[-1:].isalnum():
        return ""  # `M + 4 + 2`
    run = _BULLET.sub("", run)
    for label in list(_BESIDE.finditer(run))[-1:]:
        if _OPERATOR.search(run, 0, label.end()):
            return ""  # `(1/2) 278 + 11`
        run = run[label.end() :]
    run = run.strip()
    return run if _OPERATOR.search(run) and run[0] not in _NEVER_FIRST else ""


def _step(left: str, right: str) -> Step | None:
    try:
        tree, claimed = parse(left), compute(parse(right))
        computed = compute(tree)
    except Unreadable:
        return None
    # `3 / 12 * 100 = 25%` and `3 / 12 = 25%` are both meant.
    readings = [claimed, claimed * 100] if right.endswith("%") else [claimed]
    off = min(abs(computed - reading) for reading in readings)
    return Step(left, right, tree, claimed, off <= _rounding(right))


def _rounding(number: str) -> Fraction:
    """Half a unit of the last digit shown, of the ninth at most (what a computer printed as
    `0.6199999999999992` is 0.62); a whole number has to be exact."""
    _, point, decimals = number.strip("%$€£ ").partition(".")
    unit = Fraction(1, 10 ** min(len(decimals), 9)) / (100 if number.endswith("%") else 1)
    return unit / 2 if point else Fraction(0)
