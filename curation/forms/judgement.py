"""What the review page sends: `rank-12=1`, `decision-12=accept`, `reason-12=…`, `note-12=…`.

The fields are plain inputs, so the page works without JavaScript; keys and drag only fill them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.http import QueryDict

from curation.judging import Verdict, draft_of


@dataclass(frozen=True)
class Judgement:
    """What a person has said about the rationales of one group, so far."""

    ranks: dict[int, int] = field(default_factory=dict)
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    as_shown: bool = False
    seconds: float | None = None
    seen: str = ""
    wrong: tuple[str, ...] = ()

    @classmethod
    def of(cls, post: QueryDict, shown: Iterable[int]) -> Judgement:
        """Read the fields of the rationales shown. What makes no sense is named in `wrong`."""
        ranks, verdicts, wrong = {}, {}, []
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
        return cls(
            ranks,
            verdicts,
            as_shown=bool(post.get("as_shown")),
            seconds=_seconds(post.get("seconds", "")),
            seen=post.get("seen", ""),
            wrong=tuple(wrong),
        )

    def check(self) -> None:
        if self.wrong:
            raise ValidationError(list(self.wrong))

    def draft(self) -> dict[str, object]:
        """As `Assignment.draft` holds it; empty where nothing has been said."""
        if not (self.ranks or self.verdicts or self.as_shown):
            return {}
        return draft_of(self.ranks, self.verdicts) | {
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
        return cls(ranks, verdicts, draft.get("as_shown", False), draft.get("seconds"))


def _place(text: str) -> int | None:
    """None where nothing is written; ValueError where it is no place."""
    if not text.strip():
        return None
    place = int(text)
    if not 1 <= place <= 1000:
        raise ValueError
    return place


def _verdict(post: QueryDict, pk: int) -> Verdict | None:
    decision = post.get(f"decision-{pk}", "")
    if not decision:
        return None
    reasons = post.getlist(f"reason-{pk}") if decision == "reject" else []
    return Verdict(
        storable(decision), tuple(map(storable, reasons)), storable(post.get(f"note-{pk}", ""))
    )


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
