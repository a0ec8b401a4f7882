"""Finding questions: every filter is in the address, and pages go by key, not by number.

A page costs the same however far into a hundred thousand questions it lies: it begins after the
last key of the page before.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.contrib.postgres.search import SearchQuery
from django.db.models import Avg, Count, Exists, OuterRef, Q, QuerySet

from curation.models import Decision, Project, Question, Ranking, Rationale, Review, Score

PAGE = 50
STATES = {
    "": "any",
    "with": "has rationales",
    "without": "no rationale yet",
    "judged": "judged",
    "unjudged": "has rationales, not judged",
    "accepted": "has an accepted rationale",
}


@dataclass(frozen=True)
class Search:
    """What is looked for. Empty means any."""

    q: str = ""
    split: str = ""
    source: str = ""
    state: str = ""

    def address(self, **more: object) -> str:
        """The query string that shows the same again, with `more`."""
        given = {**self.__dict__, **more}
        return urlencode({name: value for name, value in given.items() if value not in ("", None)})

    @property
    def is_empty(self) -> bool:
        return not any(self.__dict__.values())


@dataclass
class Row:
    """A question with the counts that a list shows."""

    question: Question
    teacher: int = 0
    student: int = 0
    human: int = 0
    accepted: int = 0
    rankings: int = 0
    right: float | None = None


@dataclass
class Page:
    """Some rows, and the keys where the pages beside begin."""

    rows: list[Row] = field(default_factory=list)
    before: int | None = None
    after: int | None = None


def matching(project: Project, search: Search) -> QuerySet[Question]:
    """The questions that the search finds, by id."""
    found = Question.objects.filter(project=project).order_by("pk")
    if search.q:
        words = SearchQuery(search.q, config="english", search_type="websearch")
        found = found.filter(Q(search=words) | Q(external_id=search.q))
    if search.split:
        found = found.filter(split=search.split)
    if search.source:
        found = found.filter(source=search.source)
    return in_state(found, search.state)


def in_state(found: QuerySet[Question], state: str) -> QuerySet[Question]:
    some = Exists(Rationale.objects.filter(question=OuterRef("pk")))
    live = Review.objects.live().filter(rationale__question=OuterRef("pk"))
    judged = Exists(Ranking.objects.live().filter(question=OuterRef("pk"))) | Exists(live)
    conditions = {
        "with": Q(some),
        "without": ~Q(some),
        "judged": Q(judged),
        "unjudged": Q(some) & ~Q(judged),
        "accepted": Q(Exists(live.filter(decision=Decision.ACCEPT))),
    }
    return found.filter(conditions[state]) if state in conditions else found


def page_of(found: QuerySet[Question], after: int | None = None, before: int | None = None) -> Page:
    """The page that begins after a key, or that ends before one; the first without either."""
    if before is not None:
        chosen = list(reversed(found.filter(pk__lt=before).order_by("-pk")[: PAGE + 1]))
        is_first = len(chosen) <= PAGE
        chosen = chosen[-PAGE:]
        is_last = False
    else:
        chosen = list(found.filter(pk__gt=after or 0)[: PAGE + 1])
        is_first, is_last = not after, len(chosen) <= PAGE
        chosen = chosen[:PAGE]
    if not chosen:
        return Page()
    return Page(
        rows_of(chosen),
        before=None if is_first else chosen[0].pk,
        after=None if is_last else chosen[-1].pk,
    )


def rows_of(questions: list[Question]) -> list[Row]:
    """The questions with their counts, in three queries."""
    rows = {question.pk: Row(question) for question in questions}
    rationales = Rationale.objects.filter(question__in=rows).order_by()
    for pk, role, count in rationales.values_list("question", "role").annotate(n=Count("pk")):
        setattr(rows[pk], role, count)
    accepted = Review.objects.live().filter(decision=Decision.ACCEPT, rationale__question__in=rows)
    seen: dict[int, set[int]] = defaultdict(set)
    for pk, rationale in accepted.values_list("rationale__question", "rationale"):
        seen[pk].add(rationale)
    for pk, these in seen.items():
        rows[pk].accepted = len(these)
    counted = Ranking.objects.live().filter(question__in=rows).order_by()
    for pk, count in counted.values_list("question").annotate(n=Count("pk")):
        rows[pk].rankings = count
    scores = Score.objects.filter(rationale__question__in=rows, scorer="answer_correct")
    for pk, share in scores.order_by().values_list("rationale__question").annotate(s=Avg("value")):
        rows[pk].right = share
    return list(rows.values())


def neighbours(question: Question) -> tuple[int | None, int | None]:
    """The keys of the questions before and after this one in its project."""
    beside = Question.objects.filter(project_id=question.project_id)
    before = beside.filter(pk__lt=question.pk).order_by("-pk").values_list("pk", flat=True).first()
    after = beside.filter(pk__gt=question.pk).order_by("pk").values_list("pk", flat=True).first()
    return before, after


def sources_of(project: Project) -> list[str]:
    """Every source that questions came from."""
    found = project.questions.order_by("source").values_list("source", flat=True).distinct()
    return [source for source in found if source]
