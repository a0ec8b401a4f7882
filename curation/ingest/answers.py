"""Where a thought ends and its final answer begins, in texts as other people publish them."""

from __future__ import annotations

import re

from curation.models import AnswerKind

# The last mark counts. "A:" only opens a line; a written-out "Answer:" may end one.
_HASHES = re.compile(r"(?:\A|\n)[ \t]*#{4}[ \t]*(?P<answer>[^\n]*?)\s*\Z")
_SHORT = re.compile(r"(?:\A|\n)[ \t]*A:[ \t]*(?P<answer>[^\n]*?)\s*\Z")
_WORDED = re.compile(
    r"(?:\A|(?<=\s))\**(?:The\s+)?(?:Final\s+)?Answer\s*(?:is)?:[ \t*]*(?P<answer>[^\n]*?)\**\s*\Z",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[-−+]?\s*[$€£]?\s*[-−]?\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?\s*%?")
_CHOICE = re.compile(r"\(?[A-Ja-j]\)?\.?")
TEXT_LIMIT = 200


def split_answer(text: str) -> tuple[str, str]:
    """Thought and final answer; the answer is "" where no mark at the end announces one.

    Marks: `#### 72`, `A: 72`, `Answer: 72`, `Final Answer: 72`.
    """
    text = text.strip()
    tail_at = max(text.rfind("\n", 0, -1), len(text) - 2000, 0)
    for mark in (_HASHES, _SHORT, _WORDED):
        found = mark.search(text, tail_at)
        if found and found["answer"]:
            return text[: found.start()].rstrip(), found["answer"].strip()
    return text, ""


def kind_of(answer: str) -> str:
    """The kind of answer that a reference looks like."""
    answer = answer.strip()
    if not answer or len(answer) > TEXT_LIMIT or "\n" in answer:
        return AnswerKind.OPEN
    if _NUMBER.fullmatch(answer):
        return AnswerKind.NUMBER
    return AnswerKind.CHOICE if _CHOICE.fullmatch(answer) else AnswerKind.TEXT
