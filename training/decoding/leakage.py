"""A thought without the answer that it ends with.

How much a thought helps to the answer is measured by the answer's probability behind it. Where the
last step says the answer already, that measures copying; so it is hidden first:

* `mask`: in the last step that mentions it, every mention becomes `?`;
* `drop_last_step`: the last step goes;
* `none`: the thought as it is.

A mention is the answer letter for letter, or any number of its value (`1,000` for `1000`), never a
part of a longer word or number. Steps are lines; a thought of one line has sentences. A mention in
an earlier step stays, for there it is a part of the way.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

Leakage = Literal["mask", "drop_last_step", "none"]
MASK = "?"

_NUMBER = re.compile(r"(?<![\w.,])(?:\d{1,3}(?:,\d{3})+|\d{1,40})(?:\.\d{1,40})?(?!\w|[.,]\d)")
_LINE = re.compile(r"\n\s*(?=\S)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=\S)")


def hidden(thought: str, answer: str, leakage: Leakage) -> str:
    """The thought as it may stand before the answer; empty where its only step was dropped."""
    if leakage == "mask":
        return masked(thought, answer)
    return without_last_step(thought) if leakage == "drop_last_step" else thought


def masked(thought: str, answer: str) -> str:
    """The thought with `?` for every mention of the answer in the last step that has one."""
    spans = mentions(thought, answer)
    if not spans:
        return thought
    begin = max(start for start in step_starts(thought) if start <= spans[-1][0])
    pieces, place = [], 0
    for start, end in spans:
        if start >= max(begin, place):
            pieces += [thought[place:start], MASK]
            place = end
    return "".join([*pieces, thought[place:]])


def without_last_step(thought: str) -> str:
    """The thought up to its last step."""
    thought = thought.rstrip()
    return thought[: step_starts(thought)[-1]].rstrip()


def step_starts(thought: str) -> list[int]:
    """Where each step begins: each line with something in it, or each sentence of a single one."""
    text = thought.rstrip()
    ends = [found.end() for found in _LINE.finditer(text)]
    return [0, *(ends or [found.end() for found in _SENTENCE.finditer(text)])]


def mentions(thought: str, answer: str) -> list[tuple[int, int]]:
    """Start and end of each mention of the answer, in their order."""
    answer = answer.strip()
    if not answer:
        return []
    case = re.IGNORECASE if len(answer) > 1 else re.NOFLAG  # a lone `a` is a word
    exact = re.compile(rf"(?<!\w)(?<!\d[.,]){re.escape(answer)}(?!\w|[.,]\d)", case)
    spans = {found.span() for found in exact.finditer(thought)}
    value = _value(answer)
    if value is not None:
        found_numbers = _NUMBER.finditer(thought)
        spans |= {found.span() for found in found_numbers if _value(found.group()) == value}
    return sorted(spans)


def _value(text: str) -> Fraction | None:
    digits = text.replace("$", "").removeprefix("-").strip()
    return Fraction(digits.replace(",", "")) if _NUMBER.fullmatch(digits) else None
