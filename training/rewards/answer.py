"""Is the answer right? Reading it out of a completion, and comparing it exactly.

Numbers are compared as fractions (commas, currency, per cent, units and `a/b` are understood):
whole numbers exactly, others within one millionth, since a decimal may be rounded. Choices are
compared by their letter, text after normalising. What cannot be read is *unparsed*, which is not
the same as wrong, and is counted apart. Source of the rules: the extraction faults collected for
lm-evaluation-harness and lighteval (the last mark counts, never the first number).

Every pattern here is read in a time that grows with the text and no faster: a policy under training
writes a page of blanks sooner or later, and no reward may hang on it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

from training.decoding.prompts import split_completion
from training.decoding.record import AnswerKind, Question
from training.rewards.sample import Sample

VERDICT_VERSION = "2"  # stored beside verdicts: another one as soon as a verdict may differ
LONGEST = 10_000  # characters of an answer that are looked at, from its end
LONGEST_NUMBER = 1000  # digits; what is longer is noise, and Python refuses to read it

_BOXED = re.compile(r"\\boxed\s*\{")
_FRAC = re.compile(r"\\[dt]?frac\s{0,3}\{([^{}]{1,200})\}\s{0,3}\{([^{}]{1,200})\}")
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_MINUS = r"[-\u2212]"
_NUMBER = re.compile(
    # A minus behind a number, a word or a bracket subtracts or joins: "10 - 15" holds no -15.
    rf"(?:(?<![\w)%])(?<![\w)%]\s)(?P<sign>{_MINUS})\s?)?(?:[$€£]\s?(?P<sign2>{_MINUS})?)?"
    rf"(?:(?P<whole>\d{{1,9}})\s{{1,3}}(?=\d{{1,9}}\s{{0,3}}/\s{{0,3}}\d))?"
    rf"(?P<top>{_DIGITS})(?:\s{{0,3}}/\s{{0,3}}(?P<bottom>{_DIGITS}))?"
    rf"(?:[eE](?P<power>[-+]?\d{{1,2}})|\s?(?:[x×*]|\\times|\\cdot)\s?10\^\{{?(?P<ten>-?\d{{1,2}}))?"
    rf"(?:\s{{0,3}}(?:\\?%|percent\b))?"
)
_ALONE = re.compile(r"\W{0,3}(?P<letter>[A-Ja-j])\W{0,3}")
_LABEL = re.compile(r"(?:^\W{0,3}(?P<first>[A-Ja-j])|\((?P<held>[A-Ja-j]))(?=[).:,\]])")
_NAMED = re.compile(r"\b(?:answer|option|choice)(?: is)?\W{1,3}(?P<letter>[A-J])\b", re.IGNORECASE)
_CAPITAL = re.compile(r"(?<![\w'])(?P<letter>[B-HJ])(?![\w'])")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


@dataclass(frozen=True)
class Verdict:
    """What became of one answer."""

    correct: bool | None  # None: there is nothing to compare with
    parsed: bool  # an answer of the expected kind was found
    fallback: bool = False  # no mark was found, so the last number, letter or line was taken


def extracted(text: str) -> tuple[str, bool]:
    """The answer that a completion ends with, and whether a mark announced it.

    Marks: `####`, `Final Answer:`, `Answer:`, `A:` and `\\boxed{}`; the last one counts. Without
    any, the last number is taken, as a flagged fallback.
    """
    answer = marked_answer(text)
    if answer:
        return answer, True
    found = list(_NUMBER.finditer(text))
    return (found[-1].group().strip() if found else ""), False


def marked_answer(text: str) -> str:
    """The answer behind the last mark, or `""`."""
    boxes = list(_BOXED.finditer(text))
    if boxes and "####" not in text[boxes[-1].end() :]:
        return _to_closing_brace(text[boxes[-1].end() :])
    return split_completion(text)[1]


def _to_closing_brace(text: str) -> str:
    depth = 1
    for end, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return text[:end]
    return text


def numbers(text: str) -> list[Fraction]:
    """Every number of a text, in its order.

    `$1,234.50` is 1234.5, `20%` is 20 (as people write it), `3/4` and `1 1/2` are fractions.
    """
    text = _FRAC.sub(r" \1/\2", text[-LONGEST:])
    for written, plain in (("\\$", "$"), ("{,}", ","), ("(", " "), (")", " ")):
        text = text.replace(written, plain)
    values = [_value(found) for found in _NUMBER.finditer(text)]
    return [value for value in values if value is not None]


def number(text: str) -> Fraction | None:
    """The one number that an answer holds, or the last of several; none if it holds none."""
    found = numbers(text)
    return found[-1] if found else None


def _value(found: re.Match[str]) -> Fraction | None:
    top, bottom, whole = (
        (found[part] or absent).replace(",", "")
        for part, absent in (("top", "0"), ("bottom", "1"), ("whole", "0"))
    )
    if max(map(len, (top, bottom, whole))) > LONGEST_NUMBER or Fraction(bottom) == 0:
        return None
    size = int(whole) + Fraction(top) / Fraction(bottom)
    size *= Fraction(10) ** int(found["power"] or found["ten"] or 0)
    return -size if found["sign"] or found["sign2"] else size


def same_number(left: Fraction, right: Fraction) -> bool:
    """Equal; or, unless both are whole, within one millionth of the larger."""
    if left == right or left.denominator == right.denominator == 1:
        return left == right
    return abs(left - right) <= Fraction(1, 10**6) * max(abs(left), abs(right))


def same_numbers(given: str, reference: str) -> tuple[bool, bool]:
    """Whether a numeric answer is right, and whether it holds a number at all.

    A reference of several numbers (a time, a pair) asks for all of them in their order; of an
    answer to a single one the last number counts.
    """
    left, right = numbers(given), numbers(reference)
    if not left or not right:
        return normalised(given) == normalised(reference), bool(left or given.strip())
    if len(right) == 1:
        return same_number(left[-1], right[0]), True
    same = len(left) == len(right) and all(map(same_number, left, right))
    return same, True


def choice(text: str) -> str | None:
    """The letter of a multiple-choice answer: `B`, `(B)`, `b)`, `B. because …`, `option B`.

    A letter inside a sentence is taken only if it cannot be a word: neither `A` nor `I`.
    """
    text = text[-LONGEST:].strip()
    if alone := _ALONE.fullmatch(text):
        return alone["letter"].upper()
    if label := _LABEL.search(text):
        return (label["first"] or label["held"]).upper()
    found = list(_NAMED.finditer(text)) or list(_CAPITAL.finditer(text))
    return found[-1]["letter"].upper() if found else None


def same_choice(given: str, reference: str) -> tuple[bool, bool]:
    """Whether the letters agree, or the texts where the reference names no letter."""
    wanted, letter = choice(reference), choice(given)
    if wanted is None:
        return normalised(given) == normalised(reference), bool(given.strip())
    return letter == wanted, letter is not None


def normalised(text: str) -> str:
    """Lower case, no accents of form, punctuation, articles or doubled spaces."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = re.sub(r"[^\w\s.%/+-]", " ", plain).strip(" .")
    return " ".join(_ARTICLES.sub(" ", words).split()) or plain.strip()


def equal_answers(given: str, reference: str, kind: AnswerKind) -> tuple[bool | None, bool]:
    """Whether two answers agree, and whether the given one could be read.

    The first is None where there is nothing to compare with: an open question, no reference.
    """
    if kind == "open" or not reference.strip():
        return None, bool(given.strip())
    if kind == "number":
        return same_numbers(given, reference)
    if kind == "choice":
        return same_choice(given, reference)
    return normalised(given) == normalised(reference), bool(given.strip())


def judged(completion: str, question: Question) -> Verdict:
    """The verdict on a completion, or on a bare answer, of one question."""
    answer = marked_answer(completion)
    given = answer or unmarked(completion, question.answer_kind)
    correct, parsed = equal_answers(given, question.reference_answer, question.answer_kind)
    return Verdict(correct, parsed, fallback=parsed and not answer)


def unmarked(completion: str, kind: AnswerKind) -> str:
    """What is taken for the answer where no mark announces one: the whole text, or its last line
    (of those with a number in them, if a number is asked for)."""
    lines = [line for line in completion.splitlines() if line.strip()]
    if kind == "number":
        lines = [line for line in lines if _NUMBER.search(line)]
    elif kind != "choice":
        return completion.strip()
    return lines[-1] if lines else ""


def answer_correct(question: Question, sample: Sample) -> float | None:
    """1 if the answer is right, 0 if it is wrong or not there; None where nobody can tell.

    A completion without a marked answer earns nothing: the format is part of the task.
    """
    correct = judged(sample.answer, question).correct
    return None if correct is None else float(correct)


REWARDS = {"answer_correct": answer_correct}
