"""Is the answer right? Reading it out of a completion, and comparing it exactly.

Numbers are compared as fractions (commas, currency, per cent, units and `a/b` are understood), or
within 1e-6 where one of them is no finite decimal; choices by their letter; text after
normalising. What cannot be read is *unparsed*, which is not the same as wrong, and is counted
apart. Source of the rules: the extraction faults collected for lm-evaluation-harness and lighteval
(the last mark counts, never the first number).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

from training.decoding.prompts import split_completion
from training.decoding.record import AnswerKind, Question

LONGEST = 10_000  # characters of an answer that are looked at, from its end
LONGEST_NUMBER = 1000  # digits; what is longer is noise, and Python refuses to read it

_BOXED = re.compile(r"\\boxed\s*\{")
_FRAC = re.compile(r"\\[dt]?frac\s*\{([^{}]+)\}\s*\{([^{}]+)\}")
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(
    rf"(?P<sign>[-\u2212]?)\s*[$€£]?\s*(?P<sign2>[-\u2212]?)"
    rf"(?:(?P<whole>\d+)\s+(?=\d+\s*/\s*\d))?"
    rf"(?P<top>{_DIGITS})(?:\s*/\s*(?P<bottom>{_DIGITS}))?(?:[eE](?P<power>[-+]?\d{{1,2}}))?"
    rf"\s*(?P<percent>%|\\%|percent\b)?"
)
_CHOICE = re.compile(r"(?:^|[^A-Za-z])\(?([A-Ja-j])\)?(?![A-Za-z'])")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


@dataclass(frozen=True)
class Verdict:
    """What became of one answer."""

    correct: bool | None  # None: there is nothing to compare with
    parsed: bool  # an answer of the expected kind was found
    fallback: bool = False  # no mark was found, so the last number or letter was taken


def extracted(text: str) -> tuple[str, bool]:
    """The answer that a completion ends with, and whether a mark announced it.

    Marks: `####`, `Final Answer:`, `Answer:`, `A:` and `\\boxed{}`; the last one counts. Without
    any, the last number is taken, as a flagged fallback.
    """
    boxes = list(_BOXED.finditer(text))
    if boxes and "####" not in text[boxes[-1].end() :]:
        return _to_closing_brace(text[boxes[-1].end() :]), True
    _, answer = split_completion(text)
    if answer:
        return answer, True
    numbers = list(_NUMBER.finditer(text))
    return (numbers[-1].group().strip() if numbers else ""), False


def _to_closing_brace(text: str) -> str:
    depth = 1
    for end, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return text[:end]
    return text


def number(text: str) -> Fraction | None:
    """The one number that an answer holds, or the last of several; none if it holds none.

    `$1,234.50` is 1234.5, `20%` is 20 (as people write it), `3/4` and `1 1/2` are fractions.
    """
    text = text[-LONGEST:]
    cleaned = _FRAC.sub(r"(\1)/(\2)", text).replace("(", "").replace(")", "")
    found = list(_NUMBER.finditer(cleaned.replace("\\$", "$").replace("{,}", ",")))
    return _value(found[-1]) if found else None


def _value(found: re.Match[str]) -> Fraction | None:
    top, bottom, whole = (
        (found[part] or absent).replace(",", "")
        for part, absent in (("top", "0"), ("bottom", "1"), ("whole", "0"))
    )
    if max(map(len, (top, bottom, whole))) > LONGEST_NUMBER or Fraction(bottom) == 0:
        return None
    size = int(whole) + Fraction(top) / Fraction(bottom)
    if found["power"]:
        size *= Fraction(10) ** int(found["power"])
    return -size if found["sign"] or found["sign2"] else size


def same_number(left: Fraction, right: Fraction) -> bool:
    """Equal, or within one millionth of the larger: a rounded decimal of a fraction."""
    return left == right or abs(left - right) <= Fraction(1, 10**6) * max(abs(left), abs(right))


def choice(text: str) -> str | None:
    """The letter of a multiple-choice answer: `(B)`, `b)`, `B. because …`; the first one counts."""
    found = _CHOICE.search(text.strip())
    return found.group(1).upper() if found else None


def normalised(text: str) -> str:
    """Lower case, no accents of form, punctuation, articles or doubled spaces."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = re.sub(r"[^\w\s.%/+-]", " ", plain).strip(" .")
    return " ".join(_ARTICLES.sub(" ", words).split())


def equal_answers(given: str, reference: str, kind: AnswerKind) -> tuple[bool | None, bool]:
    """Whether two answers agree, and whether the given one could be read.

    The first is None where there is nothing to compare with: an open question, no reference.
    """
    if kind == "open" or not reference.strip():
        return None, bool(given.strip())
    if kind == "number":
        left, right = number(given), number(reference)
        if right is None:
            return normalised(given) == normalised(reference), bool(given.strip())
        return (False, False) if left is None else (same_number(left, right), True)
    if kind == "choice":
        letter = choice(given)
        return letter is not None and letter == choice(reference), letter is not None
    return normalised(given) == normalised(reference), bool(normalised(given))


def judged(completion: str, question: Question) -> Verdict:
    """The verdict on a completion, or on a bare answer, of one question."""
    answer, marked = extracted(completion)
    if not marked and not answer:
        answer = completion.strip() if question.answer_kind in ("choice", "text") else ""
    correct, parsed = equal_answers(answer, question.reference_answer, question.answer_kind)
    return Verdict(correct, parsed, fallback=parsed and not marked)


def answer_correct(question: Question, thought: str, answer: str) -> float | None:
    """1 if the answer is right, 0 if it is wrong or not there; None where nobody can tell.

    A completion without a marked answer earns nothing: the format is part of the task.
    """
    kind = question.answer_kind
    correct, _ = equal_answers(answer, question.reference_answer, kind)
    return None if correct is None else float(correct)


REWARDS = {"answer_correct": answer_correct}
