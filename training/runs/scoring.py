"""Automatic facts about stored rationales: is the answer right, which steps check, how long.

Each fact is a `Score` row under its scorer and version; a second pass adds nothing. No torch, no
engine: fifteen thousand rationales take seconds. Whoever stores rationales has them scored; what
a lost message or a killed process left out, the clock finds (`tell_of_the_unscored`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import structlog
from django.db.models import Exists, Max, OuterRef, QuerySet
from django.db.models.functions import Now

from curation.messages import send
from curation.models import Rationale, Score
from training.decoding.record import Question as Record
from training.measures.steps import STEPS_VERSION
from training.models import Run, Scored
from training.rewards import reward_functions
from training.rewards.answer import VERDICT_VERSION
from training.rewards.compose import valued
from training.rewards.sample import Sample
from training.runs.layout import questions_of
from training.runs.workers import queue_lengths

log = structlog.get_logger()

PAGE = 1000
TOLD_AT_ONCE = 100 * PAGE
# No transaction that stores rationales lasts as long.
SETTLED = timedelta(minutes=2)
SCORE = "training.tasks.score_stored"
VERSIONS = {"answer_correct": VERDICT_VERSION, "valid_steps": STEPS_VERSION, "tokens": "1"}
_WORD = re.compile(r"\d+|\w+|[^\w\s]")

Fact = tuple[float | None, dict[str, Any]]


def score(rationale_ids: Iterable[int], keep: Callable[[], None] | None = None) -> int:
    """Score these rationales with every scorer. Returns how many were looked at."""
    seen = 0
    for page in pages(rationale_ids):
        if keep:
            keep()
        found = Rationale.objects.filter(pk__in=page).select_related("question", "conditioned_on")
        scores = [made for rationale in found for made in scores_of(rationale)]
        Score.objects.bulk_create(scores, batch_size=2000, ignore_conflicts=True)
        seen += len(page)
    return seen


def score_later(rationale_ids: list[int]) -> None:
    """By a worker, or at once if no worker can be told."""
    if not send(SCORE, rationale_ids, queue="cpu"):
        score(rationale_ids)


def pages(ids: Iterable[int]) -> Iterator[list[int]]:
    several = list(ids)
    for start in range(0, len(several), PAGE):
        yield several[start : start + PAGE]


def scores_of(rationale: Rationale) -> list[Score]:
    """One row per scorer, not saved."""
    question = rationale.question
    record = Record(
        id=str(question.pk),
        question=question.text,
        reference_answer=question.reference_answer,
        answer_kind=question.answer_kind,  # type: ignore[arg-type]
    )
    facts = {name: fact(name, record, rationale) for name in checked_by_reward()}
    facts["tokens"] = length(rationale)
    return [
        Score(
            rationale=rationale,
            scorer=name,
            scorer_version=VERSIONS[name],
            value=value,
            detail=detail,
        )
        for name, (value, detail) in facts.items()
    ]


def checked_by_reward() -> list[str]:
    """The scorers that are reward functions too, so that curves and pages show one thing."""
    return [name for name in VERSIONS if name in reward_functions()]


def fact(name: str, record: Record, rationale: Rationale) -> Fact:
    """A reward function's value; none where it cannot say, with its fault where it failed on this
    text. A bare answer has no steps."""
    detail = {"extracted": rationale.answer} if name == "answer_correct" else {}
    if name == "valid_steps" and not rationale.thought:
        return None, detail
    sample = Sample(thought=rationale.thought, answer=rationale.answer)
    value, fault = valued(reward_functions()[name], record, sample)
    if fault in (None, "missing"):
        return value, detail
    log.warning("not_scored", rationale=rationale.pk, scorer=name, fault=fault)
    return value, {**detail, "fault": fault}


def length(rationale: Rationale) -> Fact:
    """The author's own token count, or words, figures and signs where nobody counted."""
    if rationale.token_count:
        return float(rationale.token_count), {"counted": "tokens"}
    text = f"{rationale.thought} {rationale.answer}"
    return float(len(_WORD.findall(text))), {"counted": "words"}


def unscored(rationales: QuerySet[Rationale]) -> QuerySet[Rationale]:
    """Those that lack one of the present scorers at its present version."""
    complete = rationales
    for name in [*checked_by_reward(), "tokens"]:
        version = VERSIONS[name]
        done = Score.objects.filter(scorer=name, scorer_version=version)
        complete = complete.filter(pk__in=done.values("rationale"))
    return rationales.exclude(pk__in=complete.values("pk"))


def tell_of_the_unscored() -> int:
    """Send another message for what was stored minutes ago and has no score, while the queue is
    empty: its own was lost. Called every minute; returns of how many rationales.

    What was once found whole is not looked at again, so this costs as much as is new.
    """
    Scored.objects.get_or_create(pk=1)
    settled = Scored.objects.filter(pk=1, seen_at__lt=Now() - SETTLED).first()
    if settled is None or queue_lengths().get("cpu") != 0:
        return 0
    missed = list(unscored_within(settled.up_to, settled.seen)[:TOLD_AT_ONCE])
    for page in pages(missed):
        score_later(page)
    if not missed:
        newest = Rationale.objects.aggregate(newest=Max("pk"))["newest"] or 0
        Scored.objects.filter(pk=1, seen_at=settled.seen_at).update(
            up_to=settled.seen, seen=max(newest, settled.seen), seen_at=Now()
        )
    return len(missed)


def unscored_within(after: int, up_to: int) -> QuerySet[Rationale, int]:
    """Keys of rationales that nobody has scored; all facts of one are stored together."""
    scored = Score.objects.filter(
        rationale=OuterRef("pk"), scorer="tokens", scorer_version=VERSIONS["tokens"]
    )
    found = Rationale.objects.filter(~Exists(scored), pk__gt=after, pk__lte=up_to)
    return found.order_by("pk").values_list("pk", flat=True)


def score_scope(run: Run, keep: Callable[[], None]) -> int:
    """A score run: every rationale in its scope that lacks a score."""
    scope = Rationale.objects.filter(question__in=questions_of(run))
    return score(unscored(scope).order_by("pk").values_list("pk", flat=True), keep)
