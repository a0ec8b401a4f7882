"""A thought as numbered steps, and what is found in each.

A step is a line; in a thought of one line, a sentence. Displayed formulas, code and tables stay
whole. Steps carry their place in the thought as it is stored, so that a label of a step means the
same characters for ever.

Curation cuts; what is right or wrong in a step, others know: they add checkers with `register`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from curation.text.rendering import is_formula

LONGEST = 4_000  # characters of one step; longer lines are cut by sentences, then between words

Span = tuple[int, int]


@dataclass(frozen=True)
class Step:
    """`thought[start:end]`; numbers count from 1."""

    number: int
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Finding:
    """Something a checker says of a step.

    `kind`: "holds" (an equation that is right), "wrong" (`says` claims it, `truth` is so), or
    "nowhere" (`says` is a number that neither the question nor an earlier step gives).
    """

    kind: str
    says: str
    truth: str = ""


# The texts of the steps in their order, and the question → what is found in each step.
Checker = Callable[[Sequence[str], str], Sequence[Sequence[Finding]]]
_checkers: list[Checker] = []


def register(checker: Checker) -> None:
    _checkers.append(checker)


def findings(steps: Sequence[Step], question: str) -> list[list[Finding]]:
    """What all checkers say of each step; they see the steps from the first on, in their order."""
    texts = [step.text for step in steps]
    said = [checker(texts, question) for checker in _checkers]
    return [[one for found in said for one in found[at]] for at in range(len(texts))]


def cut(thought: str) -> list[Step]:
    """The steps of a thought, in order; none of them is empty."""
    lines = list(_lines(thought))
    if len(lines) == 1 and "\n" not in thought[slice(*lines[0])]:
        lines = list(_sentences(thought, *lines[0]))
    spans = [span for line in lines for span in _bounded(thought, line)]
    return [
        Step(number, start, end, thought[start:end])
        for number, (start, end) in enumerate(spans, start=1)
    ]


# ---- lines ----

_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_BEGIN = re.compile(r"\\begin\{(\w+\*?)\}")


def _closing(line: str) -> str:
    """What ends the block that this line leaves open; "" where it leaves none open."""
    if fence := _FENCE.match(line):
        return "" if fence[1] in line[fence.end() :] else fence[1]
    if line.rfind("\\[") > line.rfind("\\]"):
        return "\\]"
    if line.count("$$") % 2:
        return "$$"
    begun = [name for name in _BEGIN.findall(line) if f"\\end{{{name}}}" not in line]
    return f"\\end{{{begun[0]}}}" if begun else ""


def _lines(thought: str) -> Iterator[Span]:
    """The lines that say something; a block and a table are one."""
    at, table = 0, None
    while at < len(thought):
        end = _line_end(thought, at)
        closing = _closing(thought[at:end])
        closed = thought.find(closing, end, end + LONGEST) if closing else -1
        end = _line_end(thought, closed) if closed >= 0 else end
        span = _stripped(thought, at, end)
        is_row = span is not None and thought[span[0]] == "|"
        if table is not None and not is_row:
            yield table
            table = None
        if is_row and span is not None:
            table = (table[0] if table else span[0], span[1])
        elif span is not None:
            yield span
        at = end + 1
    if table is not None:
        yield table


def _line_end(thought: str, at: int) -> int:
    end = thought.find("\n", at)
    return len(thought) if end < 0 else end


def _stripped(thought: str, start: int, end: int) -> Span | None:
    text = thought[start:end]
    if not text.strip():
        return None
    return start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())


# ---- sentences ----

_END = re.compile(r"""[.!?…]["')\]»”’]*(\s+)|[。！？]["'」』）]*(\s*)|[؟।]["')\]»”’]*(\s+)""")
_DOLLARS = re.compile(r"\$([^$\n]{1,200})\$")
_SHORT = {
    "e.g", "i.e", "mr", "mrs", "ms", "dr", "st", "vs", "approx", "no", "fig", "eq", "cf", "etc",
}  # fmt: skip


def _sentences(thought: str, start: int, end: int) -> Iterator[Span]:
    """Cut behind the marks that end a sentence, but not behind `e.g.`, behind the `1.` of a list,
    or within a formula."""
    at, formula = start, start
    for mark in _END.finditer(thought, start, end):
        if mark.start() < formula or mark.end() >= end or not _ends_here(thought, at, mark):
            continue
        formula = _formula_end(thought, at, mark.start())
        if formula > mark.start():
            continue
        yield at, mark.start() + len(mark[0].rstrip())
        at = formula = mark.end()
    if span := _stripped(thought, at, end):
        yield span


def _formula_end(thought: str, start: int, at: int) -> int:
    """Where the formula between dollars ends that `at` lies in; `at` where it lies in none."""
    for found in _DOLLARS.finditer(thought, max(start, at - 200), at + 200):
        if found.start() < at < found.end() and is_formula(found[1]):
            return found.end()
    return at


def _ends_here(thought: str, start: int, mark: re.Match[str]) -> bool:
    before = thought[max(start, mark.start() - 12) : mark.start()].split()
    word = before[-1] if before else ""
    if word.lower().lstrip("(") in _SHORT or (len(before) == 1 and word.isdigit()):
        return False
    return not thought[mark.end()].islower()


def _bounded(thought: str, span: Span) -> Iterator[Span]:
    """The span, or several where it is too long for one step."""
    start, end = span
    if end - start <= LONGEST:
        yield span
        return
    for first, last in list(_sentences(thought, start, end)):
        while last - first > LONGEST:
            gap = thought.rfind(" ", first + LONGEST // 2, first + LONGEST)
            middle = gap if gap > 0 else first + LONGEST
            yield first, middle
            first = middle + (gap > 0)
        if part := _stripped(thought, first, last):
            yield part


# ---- what a person says of steps ----


@dataclass(frozen=True)
class StepsSaid:
    """What is said of one rationale's steps.

    `first_wrong` says it in one word: all steps before it are good and it is bad; 0 says that all
    are good. `labels` (step → label) says more, or says otherwise.
    """

    first_wrong: int | None = None
    labels: Mapping[int, str] = field(default_factory=dict)

    def spread(self, count: int) -> dict[int, str]:
        """Step → label, of a thought of `count` steps."""
        if self.first_wrong is None:
            return dict(self.labels)
        good = range(1, self.first_wrong or count + 1)
        wrong = {self.first_wrong: "bad"} if self.first_wrong else {}
        return {**dict.fromkeys(good, "good"), **wrong, **self.labels}

    @classmethod
    def gathered(cls, labels: Mapping[int, str], count: int) -> StepsSaid:
        """The shortest way to say these labels."""
        first = next((step for step in sorted(labels) if labels[step] == "bad"), 0)
        led = first - 1 if first else count
        if not labels or any(step not in labels for step in range(1, led + 1)):
            return cls(None, dict(labels))
        told = cls(first).spread(count)
        return cls(first, {step: said for step, said in labels.items() if told.get(step) != said})
