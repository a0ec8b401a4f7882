"""Write a number as an expression: `24=` and then `20+4`, `6*4`, `31-7` or `8+9+7`.

Many answers are right, a checker knows them all, and a noisy teacher has a favourite: tens and
ones. A right one has two or more numbers, none of them zero and none with a leading zero, so that
`24+0` or `024+1` buys nothing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.claims._learning import Characters
from training.measures.arithmetic import compute, form, parse

CHARACTERS = Characters("0123456789+-*=")
LONGEST = 12  # tokens, the end among them
NUMBERS = range(10, 100)
HELD_OUT = frozenset(range(14, 100, 6))
TRAINED = [number for number in NUMBERS if number not in HELD_OUT]

_SHAPE = re.compile(r"[1-9]\d*(?:[-+*][1-9]\d*)+")


def value(text: str) -> int | None:
    """What the expression comes to; None where it is none."""
    return int(compute(parse(text))) if _SHAPE.fullmatch(text) else None


def rating(number: int, text: str) -> float:
    """The teacher's rating: 10 for right, less by distance, 0 for what cannot be read."""
    found = value(text)
    if found is None:
        return 0.0
    return 10.0 if found == number else max(1.0, 8.0 - abs(found - number) / 2)


def valid(number: int, text: str) -> bool:
    return value(text) == number


@dataclass(frozen=True)
class Teacher:
    """Shares of its expressions: tens and ones, and those of the number before or behind."""

    favourite: float = 0.6
    wrong: float = 0.6

    def write(self, number: int, dice: random.Random) -> str:
        if dice.random() < self.wrong:
            number += dice.choice((-1, 1))
        if dice.random() < self.favourite:
            return tens_and_ones(number)
        return dice.choice((summed, product, difference, three))(number, dice)


def tens_and_ones(number: int) -> str:
    ones = number % 10 or (10 if number > 10 else 5)
    return f"{number - ones}+{ones}" if number > ones else f"{number - 1}+1"


def summed(number: int, dice: random.Random) -> str:
    part = dice.randint(1, min(9, number - 1))
    parts = [part, number - part]
    dice.shuffle(parts)
    return "{}+{}".format(*parts)


def difference(number: int, dice: random.Random) -> str:
    part = dice.randint(1, 9)
    return f"{number + part}-{part}"


def product(number: int, dice: random.Random) -> str:
    """Two factors, or two factors and what is missing."""
    first = dice.randint(2, 5)
    rest = f"+{number % first}" if number % first else ""
    return f"{first}*{number // first}{rest}"


def three(number: int, dice: random.Random) -> str:
    first = dice.randint(1, min(9, number - 2))
    second = dice.randint(1, min(9, number - first - 1))
    return f"{number - first - second}+{first}+{second}"


def distinct(number: int, texts: Sequence[str]) -> int:
    """How many different right expressions are among these."""
    return len({text for text in texts if valid(number, text)})


def distinct_forms(number: int, texts: Sequence[str]) -> int:
    """The same, where `4+20` and `20+4` are one."""
    return len({form(parse(text)) for text in texts if valid(number, text)})
