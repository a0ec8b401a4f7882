"""Everything about one question: its rationales with their facts, and who judged them how.

People who are still to judge a question without knowing its authors do not learn them here either.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from curation.models import Decision, Place, Question, Ranking, Rationale, Review, User

ANONYMOUS = "hidden while you may still judge it"


@dataclass
class Card:
    """One rationale with what is known and was said of it."""

    rationale: Rationale
    author: str
    correct: float | None = None
    valid_steps: float | None = None
    places: list[tuple[str, int]] = field(default_factory=list)
    accepts: list[Review] = field(default_factory=list)
    rejects: list[Review] = field(default_factory=list)


@dataclass(frozen=True)
class Event:
    """Something that somebody said, and whether it still stands."""

    at: datetime
    who: str
    what: str
    stands: bool


def dossier(question: Question, reader: User) -> dict[str, Any]:
    """The context of a question's page."""
    blind = is_blind_for(question, reader)
    rationales = question.rationales.select_related("author_model", "author_user", "conditioned_on")
    cards = {
        rationale.pk: Card(rationale, ANONYMOUS if blind else rationale.author)
        for rationale in rationales.prefetch_related("scores")
    }
    for card in cards.values():
        facts = {score.scorer: score.value for score in card.rationale.scores.all()}
        card.correct, card.valid_steps = facts.get("answer_correct"), facts.get("valid_steps")
    rankings = list(
        Ranking.objects.filter(question=question)
        .select_related("judge_user", "judge_model")
        .prefetch_related("places")
    )
    reviews = list(Review.objects.filter(rationale__question=question).select_related("reviewer"))
    names = names_for(reader, question)
    place(cards, rankings, names)
    decide(cards, reviews)
    return {
        "cards": list(cards.values()),
        "blind": blind,
        "events": history(rankings, reviews, names),
        "names_shown": names is None,
    }


def is_blind_for(question: Question, reader: User) -> bool:
    """Whether an open queue that hides authors may still hand this question to the reader."""
    if reader.has_perm("curation.research", question.project):
        return False
    waiting = question.queue_items.filter(queue__is_open=True, queue__blind=True)
    done = question.assignments.filter(user=reader, status="submitted").values("queue")
    return waiting.exclude(queue__in=done).exists()


def names_for(reader: User, question: Question) -> dict[str, str] | None:
    """None: the reader may know who judged. Otherwise a name that tells nothing, for each judge;
    researchers see names, and everybody their own."""
    if reader.has_perm("curation.research", question.project):
        return None
    return defaultdict(lambda: "somebody", {f"person-{reader.pk}": "you"})


def place(cards: dict[int, Card], rankings: list[Ranking], names: dict[str, str] | None) -> None:
    """Put every live ranking's places on the cards."""
    for ranking in rankings:
        if ranking.superseded_at is None:
            who = ranking.judge if names is None else names[ranking.judge_key]
            places: list[Place] = list(ranking.places.all())
            for found in places:
                cards[found.rationale_id].places.append((who, found.rank))


def decide(cards: dict[int, Card], reviews: list[Review]) -> None:
    for review in reviews:
        if review.superseded_at is None:
            card = cards[review.rationale_id]
            said = card.accepts if review.decision == Decision.ACCEPT else card.rejects
            said.append(review)


def history(
    rankings: list[Ranking], reviews: list[Review], names: dict[str, str] | None
) -> list[Event]:
    """What was said and taken back, the newest first."""
    ranked = [
        Event(
            ranking.created_at,
            ranking.judge if names is None else names[ranking.judge_key],
            f"ranked {len(ranking.places.all())} rationales",
            ranking.superseded_at is None,
        )
        for ranking in rankings
    ]
    reviewed = [
        Event(
            review.created_at,
            str(review.reviewer) if names is None else names[f"person-{review.reviewer_id}"],
            f"{review.decision}ed rationale {review.rationale_id}",
            review.superseded_at is None,
        )
        for review in reviews
    ]
    return sorted([*ranked, *reviewed], key=lambda event: event.at, reverse=True)
