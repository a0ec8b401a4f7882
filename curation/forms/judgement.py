"""What the review page sends: `rank-12=1`, `decision-12=accept`, `reason-12=…`, `merit-12=…`,
`note-12=…`; of steps `wrong-12=3` (the first wrong one; 0: all are right) and `label-12-5=good`.

The fields are plain inputs, so the page works without JavaScript; keys and drag only fill them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.http import QueryDict

from curation.review.judging import Verdict, draft_of
from curation.text.stepping import StepsSaid
from curation.wording import counted

MOST_STEPS = 100_000
LONGEST_NOTE = 5000
_CARD = re.compile(r"(?:rank|decision|wrong)-(\d{1,18})")
_LABEL = re.compile(r"label-(\d{1,18})-(\d{1,6})")


@dataclass(frozen=True)
class Judgement:
    """What a person has said about the rationales of one group, so far."""

    ranks: dict[int, int] = field(default_factory=dict)
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    as_shown: bool = False
    seconds: float | None = None
    steps: Mapping[int, StepsSaid] = field(default_factory=dict)
    seen: str = ""
    wrong: tuple[str, ...] = ()

    @classmethod
    def of(cls, post: QueryDict, shown: Iterable[int]) -> Judgement:
        """Read the fields of the rationales shown. What makes no sense is named in `wrong`."""
        shown = list(shown)
        ranks, verdicts, steps, wrong = {}, {}, {}, _strange(post, shown)
        labels = _labels(post)
        for number, pk in enumerate(shown, 1):
            try:
                place = _place(post.get(f"rank-{pk}", ""))
            except ValueError:
                wrong.append(f"The place of rationale {number} is not a whole number from 1 up.")
                place = None
            if place is not None:
                ranks[pk] = place
            verdict = _verdict(post, pk)
            if verdict is not None:
                verdicts[pk] = verdict
                wrong += _objections(number, verdict)
            try:
                first_wrong = _step(post.get(f"wrong-{pk}", ""))
            except ValueError:
                wrong.append(
                    f"The first wrong step of rationale {number} is not the number of a step, "
                    "nor 0 for none."
                )
                first_wrong = None
            if first_wrong is not None or pk in labels:
                steps[pk] = StepsSaid(first_wrong, labels.get(pk, {}))
        return cls(
            ranks,
            verdicts,
            as_shown=bool(post.get("as_shown")),
            seconds=_seconds(post.get("seconds", "")),
            steps=steps,
            seen=post.get("seen", ""),
            wrong=tuple(wrong),
        )

    def check(self) -> None:
        if self.wrong:
            raise ValidationError(list(self.wrong))

    def draft(self) -> dict[str, object]:
        """As `Assignment.draft` holds it; empty where nothing has been said."""
        if not (self.ranks or self.verdicts or self.as_shown or self.steps):
            return {}
        return draft_of(self.ranks, self.verdicts, self.steps) | {
            "as_shown": self.as_shown,
            "seconds": self.seconds,
        }

    @classmethod
    def from_draft(cls, draft: dict) -> Judgement:  # type: ignore[type-arg]
        verdicts = {
            int(pk): Verdict(said["decision"], tuple(said["reasons"]), said["note"])
            for pk, said in draft.get("decisions", {}).items()
        }
        ranks = {int(pk): rank for pk, rank in draft.get("ranks", {}).items()}
        steps = {
            int(pk): StepsSaid(
                said["first_wrong"], {int(step): label for step, label in said["labels"].items()}
            )
            for pk, said in draft.get("steps", {}).items()
        }
        return cls(ranks, verdicts, draft.get("as_shown", False), draft.get("seconds"), steps)


def _place(text: str) -> int | None:
    """None where nothing is written; ValueError where it is no place."""
    if not text.strip():
        return None
    place = int(text)
    if not 1 <= place <= 1000:
        raise ValueError
    return place


def _verdict(post: QueryDict, pk: int) -> Verdict | None:
    """A note without a decision is kept in the draft and refused when it is submitted."""
    decision, note = post.get(f"decision-{pk}", ""), storable(post.get(f"note-{pk}", ""))
    if not decision and not note:
        return None
    kinds = {"reject": f"reason-{pk}", "accept": f"merit-{pk}"}
    reasons = post.getlist(kinds.get(decision, ""))
    return Verdict(storable(decision), tuple(map(storable, reasons)), note)


def _objections(number: int, verdict: Verdict) -> Iterator[str]:
    if len(verdict.note) > LONGEST_NOTE:
        yield (
            f"The note on rationale {number} has {len(verdict.note):,} characters, and at most "
            f"{LONGEST_NOTE:,} are kept. Shorten it."
        )
    if not verdict.decision:
        yield (
            f"The note on rationale {number} belongs to a verdict. Accept or reject the "
            "rationale, or clear the note."
        )


def _strange(post: QueryDict, shown: Collection[int]) -> list[str]:
    """A form of another group, or of none: what it says is of cards that are not here."""
    named = {int(found[1]) for key in post if post[key] and (found := _CARD.fullmatch(key))}
    strange, sent = len(named - set(shown)), "of the rationales that were sent"
    if not strange:
        return []
    return [
        f"{counted(strange, f'{sent} was', f'{sent} were')} not shown in this group. Nothing was "
        "stored; judge the group as it stands here."
    ]


def _step(text: str) -> int | None:
    """None where nothing is written; ValueError where it is no step."""
    if not text.strip():
        return None
    step = int(text)
    if not 0 <= step <= MOST_STEPS:
        raise ValueError
    return step


def _labels(post: QueryDict) -> dict[int, dict[int, str]]:
    """Rationale → step → label, of the steps that have one."""
    found: dict[int, dict[int, str]] = {}
    for name, label in post.items():
        if label and (named := _LABEL.fullmatch(name)):
            found.setdefault(int(named[1]), {})[int(named[2])] = storable(str(label))
    return found


def storable(typed: str) -> str:
    """PostgreSQL has no NUL in its texts."""
    return typed.replace("\0", "").strip()


def _seconds(text: str) -> float | None:
    """Time spent, as the page measured it; a nonsense is no time rather than an error."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
