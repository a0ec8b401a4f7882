"""Finding questions: every filter is in the address, and pages go by key, not by number.

What questions and rationales have in common to be looked for stands here too; the rationales
themselves are found in `curation.browsing.rationale_search`.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.contrib.postgres.search import SearchQuery
from django.db import connection
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.db.models.lookups import IsNull

from curation.browsing import keyset
from curation.browsing.keyset import Order
from curation.models import (
    Decision,
    Place,
    Project,
    Question,
    QuestionTag,
    Ranking,
    Rationale,
    Review,
    Score,
    Tag,
)

PAGE = 50
CORRECT = "answer_correct"
STATES = {
    "": "any",
    "with": "has rationales",
    "without": "no rationale yet",
    "judged": "judged",
    "unjudged": "has rationales, not judged",
    "accepted": "has an accepted rationale",
    "rejected": "has a rejected rationale",
    "undecided": "has one neither accepted nor rejected",
}
RIGHT = {
    "": "any",
    "all": "every rationale is right",
    "mixed": "some right, some wrong",
    "none": "none is right",
}
ACCORD = {"": "any", "no": "judges disagree"}
ORDERS = {"": "oldest first", "newest": "newest first", "identifier": "by identifier"}
_ORDERS = {
    "newest": Order(descending=True),
    "identifier": Order("external_id", of=str),
}


@dataclass(frozen=True)
class Sought:
    """What both kinds of rows are looked for by. Empty means any.

    `scorer`, `low` and `high` go together: the last score by that scorer lies between them.
    """

    q: str = ""
    split: str = ""
    source: str = ""
    role: str = ""
    right: str = ""
    author: str = ""
    batch: str = ""
    tag: str = ""
    scorer: str = ""
    low: float | None = None
    high: float | None = None
    order: str = ""

    def address(self, **more: object) -> str:
        """The query string that shows the same again, with `more`."""
        return urlencode({**self.given(), **{k: v for k, v in more.items() if v not in ("", None)}})

    def given(self) -> dict[str, Any]:
        """What is asked for, without what is not."""
        fields = dataclasses.asdict(self)
        return {name: value for name, value in fields.items() if value not in ("", None)}

    @property
    def is_empty(self) -> bool:
        """Whether it finds everything, in whatever order."""
        return not self.given().keys() - {"order"}

    @property
    def score_words(self) -> str:
        """The name of the score asked for, as a heading."""
        return self.scorer.replace("_", " ").capitalize()

    @property
    def more(self) -> int:
        """How many of the filters are set that stand behind “More filters”."""
        return len(self.given().keys() - {"order", "q", "split", "source"})


@dataclass(frozen=True)
class Search(Sought):
    """Questions; `right`, `author`, `batch` and scores ask about their rationales of `role`."""

    state: str = ""
    accord: str = ""


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
    tags: list[str] = field(default_factory=list)


@dataclass
class Page:
    """Some rows, and the keys where the pages beside begin."""

    rows: list[Row] = field(default_factory=list)
    before: str | None = None
    after: str | None = None


def matching(project: Project, search: Search) -> QuerySet[Question]:
    """The questions that the search finds."""
    found = Question.objects.filter(project=project)
    if search.q:
        found = found.filter(Q(search=words(search.q)) | Q(external_id=search.q))
    if search.split:
        found = found.filter(split=search.split)
    if search.source:
        found = found.filter(source=search.source)
    if search.tag:
        found = found.filter(Exists(tagged(QuestionTag, project, search.tag, "question")))
    if search.accord == "no":
        found = found.filter(at_odds())
    return by_author(in_state(found, search.state), search)


def words(given: str) -> SearchQuery:
    """What people type into a search box: words, "phrases", or, -not."""
    return SearchQuery(given, config="english", search_type="websearch")


def tagged(model: Any, project: Project, tag: str, row: str) -> QuerySet[Any]:
    return model.objects.filter(
        **{row: OuterRef("pk")}, tag__project=project, tag__name__iexact=tag
    )


def in_state(found: QuerySet[Question], state: str) -> QuerySet[Question]:
    written = Rationale.objects.filter(question=OuterRef("pk"))
    some = Exists(written)
    live = Review.objects.live().filter(rationale__question=OuterRef("pk"))
    by_people = Ranking.objects.live().filter(judge_model=None)
    judged = either(by_people.filter(question=OuterRef("pk")), live)
    reviewed = Review.objects.live().filter(rationale=OuterRef("pk"))
    conditions = {
        "with": Q(some),
        "without": ~Q(some),
        "judged": judged,
        "unjudged": Q(some) & ~judged,
        "accepted": Q(Exists(live.filter(decision=Decision.ACCEPT))),
        "rejected": Q(Exists(live.filter(decision=Decision.REJECT))),
        "undecided": Q(Exists(written.filter(~Exists(reviewed)))),
    }
    return found.filter(conditions[state]) if state in conditions else found


def at_odds() -> Q:
    """Questions where one judge puts a before b and another b before a, or where one accepts
    what another rejects."""
    upside_down = Place.objects.filter(
        ranking__question=OuterRef("pk"),
        ranking__superseded_at=None,
        ranking__places__rank__gt=F("rank"),
        rationale__places__ranking__superseded_at=None,
        rationale__places__ranking__places__rationale=F("ranking__places__rationale"),
        rationale__places__ranking__places__rank__lt=F("rationale__places__rank"),
    )
    yes = Review.objects.live().filter(
        decision=Decision.ACCEPT,
        rationale__question=OuterRef("pk"),
        rationale__reviews__decision=Decision.REJECT,
        rationale__reviews__superseded_at=None,
    )
    return either(upside_down, yes)


def either(first: QuerySet[Any], second: QuerySet[Any]) -> Q:
    """Whether one of two conditions on a row has a row.

    As `EXISTS … OR EXISTS …`, PostgreSQL gathers both for the whole table before it reads a page.
    """
    found = Coalesce(Subquery(first.values("pk")[:1]), Subquery(second.values("pk")[:1]))
    return Q(IsNull(found, False))


def by_author(found: QuerySet[Question], search: Search) -> QuerySet[Question]:
    """Those with a rationale as asked, and with right and wrong ones of the role as asked."""
    written = written_as(search)
    if written:
        rationales = Rationale.objects.filter(written, question=OuterRef("pk"))
        found = found.filter(Exists(rationales))
    right, wrong = marked(1, search.role), marked(0, search.role)
    conditions = {
        "all": right & ~wrong,
        "mixed": right & wrong,
        "none": wrong & ~right,
    }
    return found.filter(conditions[search.right]) if search.right in conditions else found


def written_as(search: Sought) -> Q:
    """The condition on rationales: who wrote them, in which work, with which score."""
    condition = Q()
    if search.role:
        condition &= Q(role=search.role)
    if search.author:
        condition &= Q(author_model=search.author)
    if search.batch:
        condition &= Q(batch=search.batch)
    return condition & scored(search)


def scored(search: Sought) -> Q:
    """Rationales whose last score by the scorer lies in the range."""
    if not search.scorer or (search.low is None and search.high is None):
        return Q()
    bounds = {}
    if search.low is not None:
        bounds["value__gte"] = search.low
    if search.high is not None:
        bounds["value__lte"] = search.high
    return Q(Exists(last_scores(search.scorer).filter(rationale=OuterRef("pk"), **bounds)))


def last_scores(scorer: str) -> QuerySet[Score]:
    newer = Score.objects.filter(
        rationale=OuterRef("rationale"), scorer=scorer, pk__gt=OuterRef("pk")
    )
    return Score.objects.filter(~Exists(newer), scorer=scorer)


def marked(value: int, role: str) -> Q:
    """Whether a rationale of the question's was last scored so: 1 is right, 0 wrong."""
    scores = last_scores(CORRECT).filter(rationale__question=OuterRef("pk"), value=value)
    return there(scores.filter(rationale__role=role) if role else scores)


def there(rows: QuerySet[Any]) -> Q:
    """Whether there is such a row, asked row by row.

    Of `EXISTS`, PostgreSQL may gather all the rows of the table before it reads a page.
    """
    return Q(IsNull(Subquery(rows.values("pk")[:1]), False))


def page_of(
    found: QuerySet[Question], after: str | None = None, before: str | None = None, order: str = ""
) -> Page:
    """The page that begins after a key, or that ends before one; the first without either."""
    chosen = keyset.page(found, _ORDERS.get(order, Order()), PAGE, after, before)
    return Page(rows_of(chosen.rows), chosen.before, chosen.after)


def rows_of(questions: list[Question]) -> list[Row]:
    """The questions with their counts, in five queries."""
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
    counted = Ranking.objects.live().filter(judge_model=None, question__in=rows).order_by()
    for pk, count in counted.values_list("question").annotate(n=Count("pk")):
        rows[pk].rankings = count
    for pk, share in right_shares(rows).items():
        rows[pk].right = share
    tags = QuestionTag.objects.filter(question__in=rows).order_by("tag__name")
    for pk, name in tags.values_list("question", "tag__name"):
        rows[pk].tags.append(name)
    return list(rows.values())


def right_shares(questions: Iterable[int]) -> dict[int, float]:
    """Question → the share of its rationales whose answer is right, by each one's last score."""
    scores = Score.objects.filter(rationale__question__in=questions, scorer=CORRECT)
    last: dict[int, dict[int, float]] = defaultdict(dict)
    found = scores.order_by("pk").values_list("rationale__question", "rationale", "value")
    for pk, rationale, value in found:
        if value is not None:
            last[pk][rationale] = value
    return {pk: sum(values.values()) / len(values) for pk, values in last.items()}


def neighbours(question: Question) -> tuple[int | None, int | None]:
    """The keys of the questions before and after this one in its project."""
    beside = Question.objects.filter(project_id=question.project_id)
    before = beside.filter(pk__lt=question.pk).order_by("-pk").values_list("pk", flat=True).first()
    after = beside.filter(pk__gt=question.pk).order_by("pk").values_list("pk", flat=True).first()
    return before, after


def sources_of(project: Project) -> list[str]:
    """Every source that questions came from."""
    return [s for s in _distinct("curation_question", "source", project.pk) if s]


def scorers() -> list[str]:
    """The names of all scorers that ever scored anything."""
    return _distinct("curation_score", "scorer")


def tags_of(project: Project) -> list[str]:
    return list(Tag.objects.filter(project=project).values_list("name", flat=True))


def _distinct(table: str, column: str, project: int | None = None) -> list[str]:
    """The different values of a column, leaping along an index instead of reading every row."""
    within = "project_id = %(project)s" if project is not None else "true"
    leap = f"SELECT {column} FROM {table} WHERE {within}"
    sql = f"""
        WITH RECURSIVE leaps(value) AS (
            ({leap} ORDER BY {column} LIMIT 1)
            UNION ALL
            SELECT ({leap} AND {column} > leaps.value ORDER BY {column} LIMIT 1)
            FROM leaps WHERE leaps.value IS NOT NULL
        ) SELECT value FROM leaps WHERE value IS NOT NULL"""
    with connection.cursor() as cursor:
        cursor.execute(sql, {"project": project})
        return [value for (value,) in cursor.fetchall()]
