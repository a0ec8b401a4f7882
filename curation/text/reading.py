"""A rationale as a page shows it: numbered steps, what was found in each, and of long ones only
the beginning, with a way to go on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from django.utils.safestring import SafeString

from curation.text import rendering
from curation.text.stepping import Finding, Step, cut, findings

FIRST, MORE = 6_000, 30_000  # characters shown at first, and with each further part


@dataclass(frozen=True)
class Shown:
    """One step of a rationale, as HTML."""

    number: int
    html: SafeString
    findings: tuple[Finding, ...] = ()
    label: str = ""

    @property
    def holds(self) -> bool:
        """Whether it computes something, and all of it is right."""
        kinds = {finding.kind for finding in self.findings}
        return "holds" in kinds and "wrong" not in kinds

    @property
    def remarks(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.kind != "holds"]


@dataclass(frozen=True)
class Part:
    """The steps shown; `goes_on` is the last of them where there are more, `left` characters."""

    steps: list[Shown]
    count: int
    left: int = 0
    goes_on: int = 0


def part(
    thought: str,
    question: str = "",
    *,
    after: int = 0,
    room: int = FIRST,
    hints: bool = True,
    labels: dict[int, str] | None = None,
) -> Part:
    """The steps behind step `after`, as many as have room, and one at least."""
    steps = cut(thought)
    end = _end(steps, after, room)
    found = findings(steps[:end], question) if hints else [[] for _ in steps]
    shown = [
        Shown(
            step.number,
            rendering.rationale(step.text),
            tuple(found[step.number - 1]),
            (labels or {}).get(step.number, ""),
        )
        for step in steps[after:end]
    ]
    if end >= len(steps):
        return Part(shown, len(steps))
    return Part(shown, len(steps), len(thought) - steps[end].start, end)


def _end(steps: list[Step], after: int, room: int) -> int:
    """How far the steps go that have room; a short rest is not worth a click."""
    lengths = accumulate(step.end - step.start for step in steps[after:])
    end = after + max(1, sum(length <= room for length in lengths))
    rest = sum(step.end - step.start for step in steps[end : end + 40])
    return len(steps) if end + 40 > len(steps) and rest <= room // 4 else min(end, len(steps))
