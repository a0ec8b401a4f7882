"""The steps of a thought: every `expression = number` in it, recomputed exactly.

GSM8K's calculator marks (`<<48/2=24>>`) are steps as they stand; a line that has any is read by its
marks alone, since the text around them says the same once more. Numbers may carry thousands
commas, currency and per cent; `x`, `×`, `·` and `÷` are read as operators. A result that was
rounded holds if it is right to the digits that it shows. Nothing is evaluated by Python: a small
parser computes with fractions, and what it cannot read is no step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

LONGEST = 200  # characters of one expression; longer ones are no arithmetic that a person writes
LONGEST_NUMBER = 30
MOST = 1000  # steps of one thought

_MARK = re.compile(r"<<([^<>=\n]{1,200})=([^<>=\n]{1,40})>>")
_NUMBER = r"\d[\d,]*(?:\.\d+)?|\.\d+"
_CLAIM = re.compile(
    rf"\s{{0,9}}(-?\s?[$€£]?\s?(?:{_NUMBER})\s?%?)"
    r"(?!\d|[.,]\d|\s{0,9}[-+*/×÷·]\s{0,9}[\d(])"
)
_SIGNS = frozenset("0123456789.,$€£%()+-−*/×÷·x \t")
_TOKEN = re.compile(rf"\s*(?:({_NUMBER})(\s*%)?|([-+*/()]))")
_CURRENCY = re.compile(r"[$€£]")
_TIMES = re.compile(r"[×·]|x(?=[\s(\d$€£.])")


@dataclass(frozen=True)
class Step:
    """One equation: its two sides as written, its numbers, and whether it holds."""

    left: str
    right: str
    holds: bool

    @property
    def form(self) -> str:
        """The same for equations that differ in spaces or in the order of a sum or product."""
        return _canonical(self.left)


def steps(thought: str) -> list[Step]:
    """Every step of a thought, in order, at most `MOST`.

    Of a chain `a = b = c` the sides that end in a number count. What cannot be read (letters,
    missing brackets, division by zero) is left out. Takes time in proportion to the length.
    """
    found = (step for line in thought.split("\n") for step in _of_line(line))
    return list(islice((step for step in found if step is not None), MOST))


def valid_share(thought: str) -> float | None:
    """The share of steps that hold; None where there is no step to check."""
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
    """The arithmetic that ends at `end`; "" if no operator is in it.

    A dash in front that stands apart is a bullet, not a sign; a number beside a number belongs to
    the words before it.
    """
    start = end
    while start > max(0, end - LONGEST) and line[start - 1] in _SIGNS:
        start -= 1
    run = line[start:end]
    for beside in re.finditer(r"[\d)%]\s+(?=[$€£(\d.])", run):
        start_of_last = beside.end()
        run = " " * start_of_last + run[start_of_last:]
    run = re.sub(r"^[\s+*/×÷·x),.%]*(?:[-−]\s+)?", "", run)
    return run.strip() if re.search(r"[\d)%]\s*[-+*/×÷·−x]", run) else ""


def _step(left: str, right: str) -> Step | None:
    computed, claimed = value(left), value(right)
    if computed is None or claimed is None:
        return None
    return Step(left, right, abs(computed - claimed) <= _rounding(right))


def _rounding(number: str) -> Fraction:
    """Half a unit of the last digit shown; a whole number has to be exact."""
    _, point, decimals = number.strip("%$€£ ").partition(".")
    return Fraction(1, 2 * 10 ** len(decimals)) if point else Fraction(0)


def value(expression: str) -> Fraction | None:
    """The exact value of an arithmetic expression, or None where it is none.

    Reads `+ - * /`, brackets, a leading minus, thousands commas, currency signs and per cent.
    """
    tidy = _CURRENCY.sub("", _TIMES.sub("*", expression)).replace("−", "-").replace("÷", "/")
    if len(tidy) > LONGEST:
        return None
    try:
        return _Parser(_tokens(tidy)).whole()
    except (_Unreadable, ZeroDivisionError, RecursionError):
        return None


class _Unreadable(Exception):
    pass


def _tokens(text: str) -> list[str]:
    tokens, place = [], 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _Unreadable(text[place:])
        number, percent, sign = match.groups()
        if number and len(number) > LONGEST_NUMBER:
            raise _Unreadable(number)
        tokens += [number.replace(",", "")] if number else [sign]
        tokens += ["/", "100"] if percent else []
        place = match.end()
    return tokens


class _Parser:
    """Sums of products of signed atoms, left to right."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.place = tokens, 0

    def whole(self) -> Fraction:
        found = self._sum()
        if self.place != len(self.tokens):
            raise _Unreadable(self._next)
        return found

    @property
    def _next(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def _take(self) -> str:
        self.place += 1
        return self.tokens[self.place - 1]

    def _sum(self) -> Fraction:
        total = self._product()
        while self._next in {"+", "-"}:
            total += self._product() if self._take() == "+" else -self._product()
        return total

    def _product(self) -> Fraction:
        total = self._atom()
        while self._next in {"*", "/"}:
            if self._take() == "*":
                total *= self._atom()
            else:
                total /= self._atom()
        return total

    def _atom(self) -> Fraction:
        token = self._take() if self._next else ""
        if token == "-":
            return -self._atom()
        if token == "(":
            inner = self._sum()
            if not self._next or self._take() != ")":
                raise _Unreadable("a bracket is not closed")
            return inner
        if not token or token in "+*/)":
            raise _Unreadable(token)
        return Fraction(token)


def _canonical(left: str) -> str:
    """Operands in order where order does not matter: `3 + 4` and `4 + 3` are one."""
    tidy = re.sub(r"[\s$€£,]", "", left).replace("−", "-").replace("÷", "/")
    tidy = re.sub(r"[×·x]", "*", tidy)
    for sign in "+*":
        parts = tidy.split(sign)
        if len(parts) > 1 and all(part.replace(".", "").isdigit() for part in parts):
            return sign.join(sorted(parts, key=lambda part: (len(part), part)))
    return tidy
