"""The groups of a run's rounds: what was drawn, how it was rewarded, what the method made of it.

The engine writes them to `groups.jsonl` (docs/seam.md). The table of rounds says where the contents
of a round stand, the contents where each group stands; so any group of any past step is three
small reads away, also in a file of gigabytes and also in an object store.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from curation.models import Question
from training.models import Round, Run
from training.runs.folders import read_piece

Row = dict[str, Any]
PAGE = 100  # groups in the list beside the one that is shown
WEIGHTS = {"grpo": "Advantage", "cotd_po": "Target", "kto": "Weight"}


def store_rounds(run: Run, rows: list[Row]) -> None:
    """Lines of `rounds.jsonl`, each once; one that was told anew says where it stands now."""
    made = [
        Round(
            run=run,
            number=row["round"],
            source=row["source"],
            groups=row["groups"],
            first_step=row["first_step"],
            last_step=row["last_step"],
            at=row["at"],
            bytes=row["bytes"],
        )
        for row in rows
    ]
    Round.objects.bulk_create(
        made,
        update_conflicts=True,
        unique_fields=["run", "number"],
        update_fields=["at", "bytes", "groups", "first_step", "last_step"],
    )


@dataclass(frozen=True)
class Shown:
    """What the page shows: a round, the list of its groups, and one group with its completions."""

    round: Round
    rounds: int
    first: int
    contents: list[Row]
    place: int
    group: Row | None
    question: Question | None
    parts: list[str]
    weight: str

    @property
    def before(self) -> int | None:
        return self.round.number - 1 if self.round.number else None

    @property
    def after(self) -> int | None:
        return self.round.number + 1 if self.round.number + 1 < self.rounds else None

    @property
    def list_before(self) -> int | None:
        """The first group of the list's page before this one."""
        return max(0, self.first - PAGE) if self.first else None

    @property
    def list_after(self) -> int | None:
        after = self.first + PAGE
        return after if after < len(self.contents) else None

    @property
    def listed(self) -> list[tuple[int, Row]]:
        """The groups of this page of the list, with their places."""
        return list(enumerate(self.contents))[self.first : self.first + PAGE]


def shown(run: Run, number: int | None, step: int | None, place: int | None) -> Shown | None:
    """A group of round `number`, or of the round that trained at `step`; of the newest without
    either. None while there is no round, or none whose file is there."""
    rounds = run.rounds.all()
    found = chosen(run, number, step)
    if found is None:
        return None
    contents = contents_of(run, found)
    if not contents:
        return None
    if place is None:
        place = first_of_step(contents, step)
    place = min(place, len(contents) - 1)
    group = read_row(run, contents[place]["at"], contents[place]["bytes"])
    return Shown(
        round=found,
        rounds=rounds.count(),
        first=place // PAGE * PAGE,
        contents=contents,
        place=place,
        group=group,
        question=question_of(run, contents[place]["question"]),
        parts=parts_of(group),
        weight=WEIGHTS.get(run.method, "Weight"),
    )


def chosen(run: Run, number: int | None, step: int | None) -> Round | None:
    """The round that is asked for; the newest if there is no such."""
    rounds = run.rounds.all()
    if number is not None:
        found = rounds.filter(number=min(number, 2**31 - 1)).first()
    elif step is not None:
        found = rounds.filter(first_step__lte=min(step, 2**31 - 1)).order_by("-first_step").first()
    else:
        found = None
    return found or rounds.order_by("-number").first()


def first_of_step(contents: list[Row], step: int | None) -> int:
    """The first group that `step` trained on first; the round's first otherwise."""
    places = (n for n, row in enumerate(contents) if step and row["first_step"] == step)
    return next(places, 0)


def contents_of(run: Run, found: Round) -> list[Row]:
    row = read_row(run, found.at, found.bytes)
    return row.get("contents", []) if row else []


def read_row(run: Run, at: int, size: int) -> Row | None:
    """One line of `groups.jsonl`; None if it is not there, or not yet."""
    raw = read_piece(run, "groups.jsonl", at, size)
    try:
        row: Row = json.loads(raw) if len(raw) == size else {}
    except ValueError:  # another attempt wrote the file anew, and its rounds are on their way
        return None
    return row or None


def question_of(run: Run, pk: str) -> Question | None:
    if not str(pk).isdigit():
        return None
    return Question.objects.filter(project_id=run.project_id, pk=int(pk)).first()


def parts_of(group: Row | None) -> list[str]:
    """The names of the rewards that were added up; one alone is the reward itself."""
    names = {name for one in group["completions"] for name in one["rewards"]} if group else set()
    return sorted(names) if len(names) > 1 else []
