"""Everything about one question: its rationales with their facts, and who judged them how.

People who are still to judge a question without knowing its authors do not learn them here either,
nor what others made of it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Prefetch

from curation import audit
from curation.agreement.utilities import Utility, utilities
from curation.models import (
    Adjudication,
    Decision,
    Place,
    Question,
    QuestionTag,
    Ranking,
    Rationale,
    RationaleTag,
    Review,
    Score,
    User,
)
from curation.wording import counted
from curation.work import Work, work_of

ANONYMOUS = "hidden while you may still judge it"


@dataclass
class Card:
    """One rationale with what is known and was said of it."""

    rationale: Rationale
    author: str
    scores: list[Score] = field(default_factory=list)
    revised_by: list[int] = field(default_factory=list)
    work: Work | None = None
    places: list[tuple[str, int]] = field(default_factory=list)
    accepts: list[Review] = field(default_factory=list)
    rejects: list[Review] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    utility: Utility | None = None
    decided: str = ""  # what an adjudicator decided of it

    @property
    def mean_rank(self) -> float | None:
        ranks = [rank for _, rank in self.places]
        return sum(ranks) / len(ranks) if ranks else None

    @property
    def last_scores(self) -> list[Score]:
        """What each scorer (and each model that scored) said last."""
        last = {(score.scorer, score.model_id): score for score in self.scores}
        return list(last.values())

    @property
    def correct(self) -> float | None:
        return self.value("answer_correct")

    @property
    def valid_steps(self) -> float | None:
        return self.value("valid_steps")

    def value(self, scorer: str) -> float | None:
        """What this scorer said last."""
        return next(
            (score.value for score in reversed(self.scores) if score.scorer == scorer), None
        )


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
    cards = cards_of(question, blind)
    rankings = list(
        Ranking.objects.filter(question=question)
        .select_related("judge_user", "judge_model")
        .prefetch_related("places")
    )
    reviews = list(Review.objects.filter(rationale__question=question).select_related("reviewer"))
    if blind:
        rankings = [ranking for ranking in rankings if ranking.judge_user_id == reader.pk]
        reviews = [review for review in reviews if review.reviewer_id == reader.pk]
    names = names_for(reader, question)
    place(cards, rankings, names)
    decide(cards, reviews)
    label(cards, question)
    events = [*history(rankings, reviews, names), *changes(question, names)]
    if not blind:
        weigh(cards, rankings)
        events += decisions(cards, question, names)
        events += [*corrections(cards, names), *taggings(question, names)]
    return {
        "cards": list(cards.values()),
        "blind": blind,
        "judges": sum(
            one.superseded_at is None and one.judge_user_id is not None for one in rankings
        ),
        "question_tags": [row.tag.name for row in question.tags.select_related("tag")],
        "events": sorted(events, key=lambda event: event.at, reverse=True),
        "names_shown": names is None,
    }


def cards_of(question: Question, blind: bool) -> dict[int, Card]:
    """A card for each rationale, with its scores, its corrections and the work that wrote it."""
    rationales = list(
        question.rationales.select_related("author_model", "author_user").prefetch_related(
            Prefetch("scores", Score.objects.select_related("model").order_by("pk"))
        )
    )
    batches = {rationale.batch for rationale in rationales if rationale.batch}
    works = {} if blind else work_of(question.project, batches)
    cards = {}
    for rationale in rationales:
        author = ANONYMOUS if blind else rationale.author
        card = Card(rationale, author, list(rationale.scores.all()))
        card.work = works.get(rationale.batch) if rationale.batch else None
        cards[rationale.pk] = card
    for rationale in rationales:
        if rationale.revises_id in cards:
            cards[rationale.revises_id].revised_by.append(rationale.pk)
    return cards


def is_blind_for(question: Question, reader: User) -> bool:
    """Whether an open queue that hides authors may still hand this question to the reader."""
    project = question.project
    may_judge = reader.has_perm("curation.annotate", project)
    if not may_judge or reader.has_perm("curation.research", project):
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
    """What was said, and taken back."""
    ranked = [
        Event(
            ranking.created_at,
            ranking.judge if names is None else names[ranking.judge_key],
            f"ranked {counted(len(ranking.places.all()), 'rationale')}",
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
    return [*ranked, *reviewed]


def weigh(cards: dict[int, Card], rankings: list[Ranking]) -> None:
    """What all live rankings of people together say of each, as an estimate with its interval."""
    live = [one for one in rankings if one.superseded_at is None and one.judge_user_id]
    ranks = [{place.rationale_id: place.rank for place in one.places.all()} for one in live]
    for pk, utility in utilities(ranks).items():
        cards[pk].utility = utility


def label(cards: dict[int, Card], question: Question) -> None:
    tags = RationaleTag.objects.filter(rationale__question=question).order_by("tag__name")
    for pk, name in tags.values_list("rationale", "tag__name"):
        cards[pk].tags.append(name)


def decisions(
    cards: dict[int, Card], question: Question, names: dict[str, str] | None
) -> list[Event]:
    """What adjudicators decided; what holds is put on the cards."""
    events = []
    for one in Adjudication.objects.filter(question=question).select_related("by"):
        stands = one.superseded_at is None
        events.append(Event(one.at, name_of(one.by, names), "decided between the judges", stands))
        for pk, decision in one.decisions.items() if stands else ():
            cards[int(pk)].decided = f"{decision}ed"
    return events


def name_of(person: User | None, names: dict[str, str] | None) -> str:
    if person is None:
        return "the system"
    return str(person) if names is None else names[f"person-{person.pk}"]


def corrections(cards: dict[int, Card], names: dict[str, str] | None) -> list[Event]:
    """When people wrote a better one."""
    written = [card.rationale for card in cards.values() if card.rationale.author_user_id]
    return [
        Event(
            one.created_at,
            name_of(one.author_user, names),
            f"corrected rationale {one.revises_id} as rationale {one.pk}"
            if one.revises_id
            else f"wrote rationale {one.pk}",
            stands=True,
        )
        for one in written
    ]


def taggings(question: Question, names: dict[str, str] | None) -> list[Event]:
    """Tags that are on the question and its rationales now."""
    on_it = QuestionTag.objects.filter(question=question)
    on_its = RationaleTag.objects.filter(rationale__question=question)
    rows = [(row, "the question") for row in on_it.select_related("tag", "tagged_by")]
    its = on_its.select_related("tag", "tagged_by")
    rows += [(row, f"rationale {row.rationale_id}") for row in its]  # type: ignore[misc]
    return [
        Event(row.created_at, name_of(row.tagged_by, names), f"tagged {what} “{row.tag}”", True)
        for row, what in rows
    ]


def changes(question: Question, names: dict[str, str] | None) -> list[Event]:
    """When the question itself was changed, and how, as the database's triggers noted it."""
    trail = audit.TRAILS["question"]
    found = question.events.filter(pgh_label="update").select_related("pgh_context")  # type: ignore[attr-defined]
    entries = [audit.Entry(trail, event) for event in found.order_by("pgh_id")]
    audit.told(entries)
    told = []
    for number, entry in enumerate(entries, start=1):
        what = "; ".join(f"{one.name} “{one.old}” → “{one.new}”" for one in entry.changes)
        who = name_of(entry.who, names)
        told.append(Event(entry.at, who, f"changed the question: {what}", number == len(entries)))
    return told
