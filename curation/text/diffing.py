"""Two texts side by side: step against step, then word against word within the steps that changed.

Python's difflib finds the steps that are the same; between those, steps are paired by the words
they share. All bounds are in characters and words, so that no two texts take long.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from django.db.models import Count, Q
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from curation.models import Decision, Rationale
from curation.text import rendering
from curation.text.stepping import Step, cut
from curation.wording import counted

LONGEST = 60_000  # characters of each text that are compared
MOST_WORDS = 500  # in a step whose words are compared
MOST_PAIRS = 2_500  # steps of one text times steps of the other, between two that are the same
ALIKE = 0.35  # the share of words that makes two steps versions of one another

SAME, CHANGED, LEFT, RIGHT = "same", "changed", "left", "right"
SPOKEN = {
    SAME: "the same",
    CHANGED: "changed",
    LEFT: "only in the first",
    RIGHT: "only in the second",
}
_WORD = re.compile(r"\s+|\\[A-Za-z]+|\d+(?:[.,]\d+)*|[^\W\d_]+|.", re.S)
_MARK = re.compile(r"(\\[\\$])|[\\$]")  # where a formula may begin, unless the mark is escaped


@dataclass(frozen=True)
class Row:
    """A step of the left text beside its counterpart in the right one; either may be missing."""

    sign: str
    left: int | None
    right: int | None
    left_html: SafeString
    right_html: SafeString


@dataclass(frozen=True)
class Difference:
    rows: list[Row]
    left_out: int
    compared: int = LONGEST

    def count(self, sign: str) -> int:
        return sum(row.sign == sign for row in self.rows)

    @property
    def sentence(self) -> str:
        """What a person who cannot see the colours is told first."""
        if not self.rows or self.count(SAME) == len(self.rows):
            return "Both say the same, step for step."
        told = [
            f"{count} {words}"
            for sign, words in SPOKEN.items()
            if (count := self.count(sign)) or sign == SAME
        ]
        return f"Of {counted(len(self.rows), 'step')}: {', '.join(told)}."


def compare(left: str, right: str) -> Difference:
    """The difference between two thoughts."""
    a, b = cut(left[:LONGEST]), cut(right[:LONGEST])
    matcher = SequenceMatcher(None, [_key(s) for s in a], [_key(s) for s in b], autojunk=False)
    rows: list[Row] = []
    for sign, i1, i2, j1, j2 in matcher.get_opcodes():
        if sign == "equal":
            rows += [_same(x, y) for x, y in zip(a[i1:i2], b[j1:j2], strict=True)]
        else:
            rows += [_row(x, y) for x, y in _paired(a[i1:i2], b[j1:j2])]
    return Difference(rows, max(0, len(left) - LONGEST) + max(0, len(right) - LONGEST))


def counterpart(rationale: Rationale, blind: bool) -> Rationale | None:
    """What a rationale is best compared with: what it corrects, or else the accepted one that most
    people accept (unless that is to be kept from the reader), or else any other."""
    if rationale.revises_id:
        return rationale.revises
    others = rationale.question.rationales.exclude(pk=rationale.pk)
    if not blind:
        yes = Q(reviews__decision=Decision.ACCEPT, reviews__superseded_at=None)
        others = others.annotate(accepts=Count("reviews", filter=yes)).order_by("-accepts", "pk")
    return others.select_related("author_model", "author_user").first()


def _key(step: Step) -> str:
    return " ".join(rendering.without_marks(step.text).split())


def _same(left: Step, right: Step) -> Row:
    html = rendering.rationale(left.text)
    return Row(SAME, left.number, right.number, html, html)


def _row(left: Step | None, right: Step | None) -> Row:
    if left is not None and right is not None:
        return Row(CHANGED, left.number, right.number, *_words(left, right))
    if left is not None:
        return Row(LEFT, left.number, None, _whole(left, "del"), SafeString(""))
    number, html = (right.number, _whole(right, "ins")) if right else (None, SafeString(""))
    return Row(RIGHT, None, number, SafeString(""), html)


def _whole(step: Step, tag: str) -> SafeString:
    """A step that changed in every word: shown as one reads it elsewhere, formulas set."""
    html = rendering.rationale(step.text)
    return mark_safe(f'<{tag} class="whole">{html}</{tag}>' if html else "")


# ---- which step became which ----


def _paired(a: list[Step], b: list[Step]) -> Iterator[tuple[Step | None, Step | None]]:
    """The steps of both in order, those side by side that are versions of one another."""
    i = j = 0
    for x, y in _best_pairs(a, b):
        yield from ((step, None) for step in a[i:x])
        yield from ((None, step) for step in b[j:y])
        yield a[x], b[y]
        i, j = x + 1, y + 1
    yield from ((step, None) for step in a[i:])
    yield from ((None, step) for step in b[j:])


def _best_pairs(a: list[Step], b: list[Step]) -> list[tuple[int, int]]:
    """The pairs in order whose likeness adds up to the most."""
    if len(a) * len(b) > MOST_PAIRS:
        return [(n, n) for n in range(min(len(a), len(b)))]
    words = [Counter(_key(step).lower().split()) for step in a]
    others = [Counter(_key(step).lower().split()) for step in b]
    best = [[0.0] * (len(b) + 1) for _ in range(len(a) + 1)]
    likeness = [[_likeness(one, other) for other in others] for one in words]
    for x in reversed(range(len(a))):
        for y in reversed(range(len(b))):
            paired = likeness[x][y] + best[x + 1][y + 1] if likeness[x][y] >= ALIKE else 0.0
            best[x][y] = max(paired, best[x + 1][y], best[x][y + 1])
    return list(_followed(best, likeness))


def _followed(best: list[list[float]], likeness: list[list[float]]) -> Iterator[tuple[int, int]]:
    x = y = 0
    while x < len(likeness) and y < len(likeness[x]):
        here = best[x][y]
        if here == best[x + 1][y]:
            x += 1
        elif here == best[x][y + 1]:
            y += 1
        else:
            yield x, y
            x, y = x + 1, y + 1


def _likeness(one: Counter[str], other: Counter[str]) -> float:
    """The share of their words that both have, in [0, 1]; a lone pair of short steps is alike."""
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else 0.0


# ---- which words changed ----


def _words(left: Step, right: Step) -> tuple[SafeString, SafeString]:
    a, b = (words_of(rendering.without_marks(step.text)) for step in (left, right))
    if max(len(a), len(b)) > MOST_WORDS:
        return _whole(left, "del"), _whole(right, "ins")
    olds, news = [], []
    for same, i1, i2, j1, j2 in _blocks(a, b):
        olds.append((not same, a[i1:i2]))
        news.append((not same, b[j1:j2]))
    return _marked(olds, "del"), _marked(news, "ins")


def words_of(text: str) -> list[str]:
    """The text in words, numbers, spaces and signs; a formula is one word, marks and all."""
    words: list[str] = []
    end = 0
    for mark in _MARK.finditer(text):
        at = mark.start()
        if at < end or mark[1] or (found := rendering.formula_at(text, at)) is None:
            continue
        words += [*_WORD.findall(text[end:at]), text[at : at + found[1]]]
        end = at + found[1]
    return words + _WORD.findall(text[end:])


def _blocks(a: list[str], b: list[str]) -> Iterator[tuple[bool, int, int, int, int]]:
    """What is the same and what is not; a space or a sign between two changes changes with them."""
    codes = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    kept = [
        sign == "equal" and (at in (0, len(codes) - 1) or any(map(str.isalnum, "".join(a[i1:i2]))))
        for at, (sign, i1, i2, _, _) in enumerate(codes)
    ]
    start = 0
    for end in range(1, len(codes) + 1):
        if end == len(codes) or kept[end] != kept[start]:
            yield (
                kept[start],
                codes[start][1],
                codes[end - 1][2],
                codes[start][3],
                codes[end - 1][4],
            )
            start = end


def _marked(pieces: list[tuple[bool, list[str]]], tag: str) -> SafeString:
    """The text, its formulas set, with the changed pieces in `<del>` or `<ins>`."""
    html = []
    for changed, words in pieces:
        shown = "".join(map(_shown, words))
        html.append(f"<{tag}>{shown}</{tag}>" if changed and shown.strip() else shown)
    return mark_safe("".join(html))


def _shown(word: str) -> SafeString:
    found = rendering.formula_at(word, 0)
    if found is None:
        return escape(word)
    tex, _, display = found
    return rendering.formula(tex, display)
