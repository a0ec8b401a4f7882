"""The probe: the same few questions, answered greedily at the start and with every checkpoint.

So one sees what training did to an answer, and not only to a mean: what was wrong and is right
now, and what was right and no longer is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from curation.models import Question
from training.models import ProbeAnswer, Run

Row = dict[str, Any]


def store_probes(run: Run, rows: list[Row]) -> None:
    """Lines of `probes.jsonl`, each once; those about questions that are gone are left out."""
    asked = {int(row["question"]) for row in rows if str(row["question"]).isdigit()}
    own = Question.objects.filter(project_id=run.project_id, pk__in=asked)
    known = set(own.values_list("pk", flat=True))
    made = [
        ProbeAnswer(
            run=run,
            step=row["step"],
            question_id=int(row["question"]),
            text=row["text"].replace("\x00", ""),
            answer=row["answer"].replace("\x00", ""),
            correct=row["correct"],
            finish_reason=row["finish_reason"],
        )
        for row in rows
        if str(row["question"]).isdigit() and int(row["question"]) in known
    ]
    ProbeAnswer.objects.bulk_create(made, batch_size=500, ignore_conflicts=True)


@dataclass(frozen=True)
class Pair:
    """A question with what was said at the start and what is said at the chosen step."""

    question: Question
    old: ProbeAnswer | None
    new: ProbeAnswer

    @property
    def turned(self) -> str:
        """What became of it, in words; "" if nothing did."""
        if self.old is None or self.old.correct == self.new.correct or self.new.correct is None:
            return ""
        return "now right" if self.new.correct else "no longer right"


@dataclass(frozen=True)
class Probed:
    """One place of the slider: the steps there are, and the answers at the chosen one."""

    steps: list[int]
    place: int
    pairs: list[Pair]
    right: int
    right_at_start: int

    @property
    def step(self) -> int:
        return self.steps[self.place]

    @property
    def first(self) -> int:
        return self.steps[0]

    @property
    def last_place(self) -> int:
        return len(self.steps) - 1

    @property
    def ticks(self) -> list[tuple[int, int]]:
        return list(enumerate(self.steps))


def steps_of(run: Run) -> list[int]:
    """The steps after which the probe was asked."""
    found = run.probe_answers.order_by("step").values_list("step", flat=True)
    return list(found.distinct())


def probed(run: Run, place: int | None) -> Probed | None:
    """The answers at the `place`-th probe, the last unless said; None if there is none yet."""
    steps = steps_of(run)
    if not steps:
        return None
    place = len(steps) - 1 if place is None else min(place, len(steps) - 1)
    new = answers(run, steps[place])
    old = {answer.question_id: answer for answer in answers(run, steps[0])} if place else {}
    pairs = [Pair(answer.question, old.get(answer.question_id), answer) for answer in new]
    right = sum(bool(answer.correct) for answer in new)
    before = sum(bool(answer.correct) for answer in old.values()) if place else right
    return Probed(steps, place, pairs, right, before)


def answers(run: Run, step: int) -> list[ProbeAnswer]:
    return list(run.probe_answers.filter(step=step).select_related("question"))


def latest_answers(runs: list[Run]) -> dict[int, dict[int, ProbeAnswer]]:
    """Of each run the answers at its last probe, by question."""
    found: dict[int, dict[int, ProbeAnswer]] = {}
    for run in runs:
        steps = steps_of(run)
        last = answers(run, steps[-1]) if steps else []
        found[run.pk] = {answer.question_id: answer for answer in last}
    return found
