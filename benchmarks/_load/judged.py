"""A queue that has been judged through: assignments, rankings with places, reviews, counters.

Judges see how good a rationale is with noise of their own, so that they agree in part.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from benchmarks._load.copying import copy, reserve
from benchmarks._load.sizes import Size
from curation.agreement.concordance import kendalls_w, splits
from curation.models import (
    Assignment,
    Place,
    Project,
    Queue,
    QueueItem,
    Ranking,
    Review,
    Tally,
)
from curation.queues.contents import Filter

AT_ONCE = 2_000  # questions
DAYS = 90
ITEM = ("id", "queue_id", "question_id", "position", "overlap", "taken", "submitted",
        "concordance", "is_split")  # fmt: skip
ASSIGNMENT = ("id", "item_id", "queue_id", "question_id", "user_id", "status", "shown_order",
              "leased_at", "leased_until", "finished_at")  # fmt: skip
RANKING = ("id", "question_id", "judge_user_id", "assignment_id", "shown_order", "seconds_spent",
           "created_at")  # fmt: skip
PLACE = ("ranking_id", "rationale_id", "rank")
REVIEW = ("rationale_id", "reviewer_id", "assignment_id", "decision", "created_at")


@dataclass
class Chunk:
    """Rows of some questions, table by table."""

    items: list[Any] = field(default_factory=list)
    assignments: list[Any] = field(default_factory=list)
    rankings: list[Any] = field(default_factory=list)
    places: list[Any] = field(default_factory=list)
    reviews: list[Any] = field(default_factory=list)

    def write(self) -> None:
        copy(QueueItem, ITEM, self.items)
        copy(Assignment, ASSIGNMENT, self.assignments)
        copy(Ranking, RANKING, self.rankings)
        copy(Place, PLACE, self.places)
        copy(Review, REVIEW, self.reviews)


def judge(
    project: Project, size: Size, questions: list[int], written: range, people: list[int]
) -> int:
    """Let the people judge the first questions' teacher rationales; returns the judgements."""
    queue = Queue.objects.create(
        project=project,
        name="Judged",
        filter=Filter(roles=("teacher",)).stored(),
        overlap=size.judges,
        gold_share=0,
        is_open=False,
    )
    dice, done = random.Random(3), Counter[int]()
    judged = questions[: size.judged]
    for start in range(0, len(judged), AT_ONCE):
        some = judged[start : start + AT_ONCE]
        _chunk(queue, size, dice, done, start, some, written, people).write()
    _count(queue, size, done)
    return done.total()


def _chunk(
    queue: Queue, size: Size, dice: random.Random, done: Counter[int], start: int,
    questions: list[int], written: range, people: list[int],
) -> Chunk:  # fmt: skip
    chunk, began = Chunk(), timezone.now() - timedelta(days=DAYS)
    items = reserve(QueueItem, len(questions))
    held = iter(reserve(Assignment, len(questions) * size.judges))
    rankings = iter(reserve(Ranking, len(questions) * size.judges))
    for number, (item, question) in enumerate(zip(items, questions, strict=True), start):
        shown = written[number * size.teachers : (number + 1) * size.teachers]
        good = {pk: dice.random() for pk in shown}
        orders, votes = [], []
        for person in dice.sample(people, size.judges):
            order = sorted(shown, key=lambda pk: good[pk] + dice.gauss(0, 0.2), reverse=True)
            at = began + timedelta(days=DAYS * number / size.judged, seconds=dice.random() * 3600)
            keys = next(held), next(rankings)
            decisions = [(order[0], "accept"), (order[-1], "reject")]
            _said(chunk, queue, item, question, person, keys, order, decisions, at, dice)
            orders.append({pk: float(rank) for rank, pk in enumerate(order, 1)})
            votes += decisions
            done[person] += 1
        chunk.items.append(
            (item, queue.pk, question, number + 1, size.judges, size.judges, size.judges,
             kendalls_w(orders), splits(votes))
        )  # fmt: skip
    return chunk


def _said(
    chunk: Chunk, queue: Queue, item: int, question: int, person: int, keys: tuple[int, int],
    order: Sequence[int], decisions: list[tuple[int, str]], at: datetime, dice: random.Random,
) -> None:  # fmt: skip
    """What one person said of one question."""
    assignment, ranking = keys
    seconds = round(dice.lognormvariate(3.8, 0.5), 1)
    shown = dice.sample(order, len(order))
    leased, until = at - timedelta(seconds=seconds), at + timedelta(minutes=queue.lease_minutes)
    chunk.assignments.append(
        (assignment, item, queue.pk, question, person, "submitted", shown, leased, until, at)
    )
    chunk.rankings.append((ranking, question, person, assignment, shown, seconds, at))
    chunk.places += [(ranking, pk, rank) for rank, pk in enumerate(order, 1)]
    chunk.reviews += [(pk, person, assignment, decision, at) for pk, decision in decisions]


def _count(queue: Queue, size: Size, done: Counter[int]) -> None:
    """The figures that the application would have kept on the way."""
    now = timezone.now()
    Tally.objects.bulk_create(
        Tally(queue=queue, user_id=pk, submitted=n, last_at=now) for pk, n in done.items()
    )
    Queue.objects.filter(pk=queue.pk).update(
        items_total=size.judged, submitted=done.total(), complete=size.judged
    )
