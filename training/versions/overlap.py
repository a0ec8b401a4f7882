"""Whether a question gives away a test question: they share 13 words in a row.

Thirteen is the window that GPT-3 and most after it used. A question of fewer words is compared as
a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

WORDS = 13
_WORD = re.compile(r"\w+")


def windows(text: str, length: int = WORDS) -> set[int]:
    """Hashes of every run of `length` words, or of all the words if there are fewer."""
    words = _WORD.findall(text.lower())
    last = max(len(words) - length, 0)
    return {hash(tuple(words[start : start + length])) for start in range(last + 1)}


def windows_of(texts: Iterable[str]) -> set[int]:
    """Those of many texts together. About 100 bytes a window; the hashes hold in this process."""
    found: set[int] = set()
    for text in texts:
        found |= windows(text)
    return found
