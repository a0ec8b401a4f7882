"""Arithmetic as people write it, read without Python's evaluator and computed with fractions.

An expression becomes a tree of numbers, sums, products and powers. Numbers may carry thousands
commas, currency signs and per cent; `x`, `×`, `·`, `÷`, `−`, `^` and `**` are read as operators.
Lengths and exponents are bounded, so that no text can make a number that does not fit in memory.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

LONGEST = 200  # characters of one expression; longer ones are no arithmetic that a person writes
LONGEST_NUMBER = 30
DEEPEST = 50  # brackets in brackets
LARGEST_EXPONENT = 64
LARGEST_POWER = 4096  # bits of a power's numerator and denominator

NUMBER = r"\d+(?:,\d+)*(?:\.\d+)?|\.\d+"
_TOKEN = re.compile(rf"\s*(?:({NUMBER})(\s*%)?|([-+*/()^]))")
_PLAIN = re.compile(r"(?:0|[1-9]\d*|[1-9]\d{0,2}(?:,\d{3})+)?(?:\.\d+)?")
_CURRENCY = re.compile(r"[$€£]")
_TIMES = re.compile(r"[×·]|x(?=\s*[(\d$€£.])")
_SPELLINGS = str.maketrans({"−": "-", "÷": "/"})
_FOREIGN_DIGIT = re.compile(r"[^\D0-9]")
_FOREIGN_SIGNS = str.maketrans({"٫": ".", "٬": ",", "٪": "%"})


class Unreadable(ValueError):
    """The text is no arithmetic, or more of it than anybody writes."""


@dataclass(frozen=True)
class Operation:
    """`+` and `*` have any number of parts; `-` and `/` turn one round; `^` has a base and a
    power."""

    sign: str
    parts: tuple[Tree, ...]


Tree = Fraction | Operation


def in_western_figures(text: str) -> str:
    """The text with the digits of every script as 0 to 9, place by place: `٨ + ٣` is `8 + 3`."""
    if text.isascii():
        return text
    plain = text.translate(_FOREIGN_SIGNS)
    return _FOREIGN_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), plain)


def parse(expression: str) -> Tree:
    """The tree of an expression. Raises `Unreadable`."""
    tidy = _CURRENCY.sub("", _TIMES.sub("*", expression)).translate(_SPELLINGS)
    if len(tidy) > LONGEST:
        raise Unreadable("The expression is too long.")
    return _Parser(_tokens(tidy.replace("**", "^").rstrip())).whole()


def compute(tree: Tree) -> Fraction:
    """The exact value. Raises `Unreadable` for a division by zero or a power out of bounds."""
    if isinstance(tree, Fraction):
        return tree
    values = [compute(part) for part in tree.parts]
    if tree.sign == "+":
        return sum(values, Fraction(0))
    if tree.sign == "-":
        return -values[0]
    if tree.sign == "^":
        return _power(*values)
    if tree.sign == "/":
        return _power(values[0], Fraction(-1))
    total = Fraction(1)
    for value in values:
        total *= value
    return total


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or abs(exponent) > LARGEST_EXPONENT:
        raise Unreadable("The exponent is no small whole number.")
    digits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if digits * abs(exponent) > LARGEST_POWER:
        raise Unreadable("The power is too large.")
    if base == 0 and exponent < 0:
        raise Unreadable("It divides by zero.")
    return base ** int(exponent)


def value(expression: str) -> Fraction | None:
    """The exact value of an arithmetic expression, or None where it is none."""
    try:
        return compute(parse(expression))
    except Unreadable:
        return None


def form(tree: Tree, names: Mapping[Fraction, str] | None = None) -> str:
    """The same text for trees that differ in the order of a sum's or a product's parts alone.

    Numbers that `names` knows are written by their names.
    """
    if isinstance(tree, Fraction):
        return (names or {}).get(tree, str(tree))
    parts = [form(part, names) for part in tree.parts]
    if tree.sign in "+*":
        parts.sort()
    return f"({tree.sign} {' '.join(parts)})"


Token = Fraction | str


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise Unreadable(text[place:])
        number, percent, sign = match.groups()
        tokens.append(_number(number) / (100 if percent else 1) if number else sign)
        place = match.end()
    return tokens


def _number(digits: str) -> Fraction:
    """Raises `Unreadable` for a number longer than any, for `0,2` and for `000`."""
    if len(digits) > LONGEST_NUMBER or not _PLAIN.fullmatch(digits):
        raise Unreadable(digits)
    return Fraction(digits.replace(",", ""))


class _Parser:
    """Sums of products of powers of signed atoms."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.place, self.depth = tokens, 0, 0

    def whole(self) -> Tree:
        found = self._sum()
        if self.place != len(self.tokens):
            raise Unreadable(str(self._next))
        return found

    @property
    def _next(self) -> Token:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def _take(self) -> Token:
        self.place += 1
        return self.tokens[self.place - 1]

    def _sum(self) -> Tree:
        parts = [self._product()]
        while self._next in ("+", "-"):
            minus = self._take() == "-"
            parts.append(_turned("-", self._product()) if minus else self._product())
        return parts[0] if len(parts) == 1 else Operation("+", tuple(parts))

    def _product(self) -> Tree:
        parts = [self._signed()]
        while self._next in ("*", "/"):
            over = self._take() == "/"
            parts.append(_turned("/", self._signed()) if over else self._signed())
        return parts[0] if len(parts) == 1 else Operation("*", tuple(parts))

    def _signed(self) -> Tree:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable("brackets in brackets, or signs before signs, without an end")
        found = self._turned_around() if self._next == "-" else self._raised()
        self.depth -= 1
        return found

    def _turned_around(self) -> Tree:
        self._take()
        inner = self._signed()
        return -inner if isinstance(inner, Fraction) else _turned("-", inner)

    def _raised(self) -> Tree:
        base = self._atom()
        if self._next != "^":
            return base
        self._take()
        return Operation("^", (base, self._signed()))

    def _atom(self) -> Tree:
        token = self._take() if self._next != "" else ""
        if isinstance(token, Fraction):
            return token
        if token != "(":
            raise Unreadable(f"{token or 'the end'} where a number is due")
        inner = self._sum()
        if self._next != ")":
            raise Unreadable("a bracket is not closed")
        self._take()
        return inner


def _turned(sign: str, part: Tree) -> Operation:
    return Operation(sign, (part,))
