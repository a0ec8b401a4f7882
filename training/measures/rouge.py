"""ROUGE-L: how much of two texts is a common subsequence of words.

    P = LCS / words of the candidate,  R = LCS / words of the reference,  F = 2PR / (P + R)

Lin, ROUGE: a package for automatic evaluation of summaries (2004). Words, numbers and signs count
as words, since in mathematics a `+` is one; packages that drop all signs give other values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"\d+(?:\.\d+)?|\w+|[^\w\s]")


def rouge_l(candidate: str, reference: str) -> float:
    """The F value in [0, 1]; 0 where one of the texts has no word."""
    left, right = (_WORD.findall(text.lower()) for text in (candidate, reference))
    common = common_subsequence(left, right)
    return 2 * common / (len(left) + len(right)) if common else 0.0


def common_subsequence(left: Sequence[str], right: Sequence[str]) -> int:
    """The length of the longest one, bit by bit: one long addition for each word of `right`
    (Hyyrö, 2004), so that thousands of pages take seconds."""
    places: dict[str, int] = {}
    for number, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << number
    every = (1 << len(left)) - 1
    open_places = every
    for word in right:
        match = open_places & places.get(word, 0)
        open_places = (open_places + match | open_places - match) & every
    return len(left) - open_places.bit_count()
