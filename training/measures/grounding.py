"""Where the numbers of a thought come from: the question, or a step that came before.

A step is grounded if every number in its expression is one that the question says or the claimed
result of an earlier step. The question says its figures, its percentages also as fractions of one,
its number words ("three", "a dozen", "twice", "half") and the sizes of the units it names (a week
is 7 days); 1 needs no source. Equality is exact, so a figure that was rounded on the way is its own
only as the step wrote it.

Source: groundedness as METHODS' validity of arithmetic asks for it, and the grounding score of
ROSCOE (2212.07919), which compares embeddings where this compares numbers. Trap: what a person
knows and no table holds (a deck of 52 cards) counts as made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from training.measures.arithmetic import NUMBER, Tree, in_western_figures, value
from training.measures.steps import Step, steps

LONGEST = 20_000  # characters of a question that are read

_FIGURE = re.compile(rf"({NUMBER})(?:\s{{0,3}}/\s{{0,3}}({NUMBER}))?\s{{0,3}}(%|percent\b)?", re.I)
_WORD = re.compile(r"[a-z]+")
_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_HALF, _THIRD, _QUARTER = Fraction(1, 2), Fraction(1, 3), Fraction(1, 4)
_SAID: dict[str, tuple[Fraction | int, ...]] = {
    **{word: (n,) for n, word in enumerate(_ONES)},
    **{word: (10 * n,) for n, word in enumerate(_TENS, 2)},
    "hundred": (100,), "thousand": (1000,), "million": (10**6,), "dozen": (12,), "dozens": (12,),
    "couple": (2,), "pair": (2,), "pairs": (2,), "both": (2,), "twice": (2,), "double": (2,),
    "doubled": (2,), "doubles": (2,), "twins": (2,), "thrice": (3,), "triple": (3,),
    "tripled": (3,), "triples": (3,), "quadruple": (4,), "half": (2, _HALF), "halves": (2, _HALF),
    "halved": (2, _HALF), "second": (2, 60), "third": (3, _THIRD), "thirds": (3, _THIRD),
    "quarter": (4, _QUARTER, 25), "quarters": (4, _QUARTER, 25), "fourth": (4, _QUARTER),
    "fourths": (4, _QUARTER), "fifth": (5, Fraction(1, 5)), "fifths": (5, Fraction(1, 5)),
    "sixth": (6, Fraction(1, 6)), "eighth": (8, Fraction(1, 8)), "tenth": (10, Fraction(1, 10)),
    "once": (1,), "percent": (100,), "percentage": (100,), "average": (2,), "cent": (100,),
    "cents": (100,), "dollar": (100,), "dollars": (100,), "nickel": (5,), "nickels": (5,),
    "dime": (10,), "dimes": (10,), "penny": (1,), "pennies": (1,), "seconds": (60,),
    "minute": (60,), "minutes": (60,), "hour": (60, 24), "hours": (60, 24), "day": (24, 7),
    "days": (24, 7, 30), "daily": (7, 30), "week": (7, 4, 52), "weeks": (7, 4, 52),
    "weekly": (7, 4, 52), "weekend": (2,), "weekends": (2,), "weekdays": (5,),
    "month": (30, 12, 4), "months": (30, 12, 4), "monthly": (12,), "year": (12, 52, 365),
    "years": (12, 52, 365, 10), "yearly": (12, 365), "annual": (12,), "decade": (10,),
    "century": (100,), "inch": (12,), "inches": (12,), "foot": (12, 3), "feet": (12, 3),
    "yard": (3,), "yards": (3,), "mile": (5280,), "miles": (5280,), "ounces": (16,),
    "pound": (16,), "pounds": (16,), "centimeters": (100,), "meter": (100,), "meters": (100, 1000),
    "kilometers": (1000,), "kilograms": (1000,), "grams": (1000,), "liters": (1000,),
    "square": (4,), "triangle": (3,), "rectangle": (2,), "rectangular": (2,), "perimeter": (2,),
}  # fmt: skip


def grounded_share(thought: str, question: str) -> float | None:
    """The share of steps that hold and are grounded, in [0, 1]; None where there is no step."""
    found = grounded_steps(thought, question)
    return sum(step.holds and source for step, source in found) / len(found) if found else None


def grounded_steps(thought: str, question: str) -> list[tuple[Step, bool]]:
    """Every step of a thought, and whether each of its numbers has a source."""
    known = {Fraction(1), *numbers_said(question)}
    judged = []
    for step in steps(thought):
        judged.append((step, all(abs(number) in known for number in leaves(step.tree))))
        known |= readings(abs(step.result), percent=step.right.endswith("%"))
    return judged


def leaves(tree: Tree) -> Iterator[Fraction]:
    """The numbers of an expression, in its order."""
    if isinstance(tree, Fraction):
        yield tree
        return
    for part in tree.parts:
        yield from leaves(part)


def numbers_said(question: str) -> set[Fraction]:
    """Every number that a question gives, in figures, in words, or by the units that it names."""
    text = in_western_figures(question[:LONGEST]).lower()
    said = {Fraction(n) for word in set(_WORD.findall(text)) for n in _SAID.get(word, ())}
    if "%" in text or "percent" in text:
        said |= {number / 100 for number in said} | {Fraction(1, 100)}
    for figure in _FIGURE.finditer(text):
        top, bottom = (value(figure[n]) if figure[n] else None for n in (1, 2))
        percent = figure[3] is not None
        said |= {one for number in (top, bottom) if number is not None
                 for one in readings(number, percent)}  # fmt: skip
        if top is not None and bottom:
            said |= readings(top / bottom, percent)
    return said


def readings(number: Fraction, percent: bool = False) -> set[Fraction]:
    """A number as it may be used; a percentage also as a part of one, with what is left of it."""
    if not percent:
        return {number}
    ratio = number if number < 1 else number / 100
    return {number, ratio, abs(1 - ratio), 1 + ratio, Fraction(100)}
