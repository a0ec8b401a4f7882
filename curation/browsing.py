"""Finding questions: every filter is in the address, and pages go by key, not by number.

A page costs the same however far into a hundred thousand questions it lies: it begins after the
last key of the page before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.contrib.postgres.search import SearchQuery
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from curation.models import Decision, Project, Question, Ranking, Rationale, Review, Score

PAGE = 50
CORRECT = "answer_correct"
STATES = {
    "": "any",
    "with": "has rationales",
    "without": "no rationale yet",
    "judged": "judged",
    "unjudged": "has rationales, not judged",
    "accepted": "has an accepted rationale",
}
RIGHT = {
    "": "any",
    "all": "every rationale is right",
    "mixed": "some right, some wrong",
    "none": "none is right",
}
ORDERS = {"": "oldest first", "newest": "newest first"}


@dataclass(frozen=True)
class Search:
    """What is looked for. Empty means any; `right` asks about the rationales of `role` alone."""

    q: str = ""
    split: str = ""
    source: str = ""
    state: str = ""
    role: str = ""
    right: str = ""
    order: str = ""

    def address(self, **more: object) -> str:
        """The query string that shows the same again, with `more`."""
        given = {**self.__dict__, **more}
        return urlencode({name: value for name, value in given.items() if value not in ("", None)})

    @property
    def is_empty(self) -> bool:
        """Whether it finds everything, in whatever order."""
        return not any(value for name, value in self.__dict__.items() if name != "order")


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
    """The questions that the search finds."""
    found = Question.objects.filter(project=project)
    if search.q:
        words = SearchQuery(search.q, config="english", search_type="websearch")
        found = found.filter(Q(search=words) | Q(external_id=search.q))
    if search.split:
        found = found.filter(split=search.split)
    if search.source:
        found = found.filter(source=search.source)
    return by_author(in_state(found, search.state), search)


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


def by_author(found: QuerySet[Question], search: Search) -> QuerySet[Question]:
    """Those with a rationale of the role, and with right and wrong ones of it as asked."""
    if search.role:
        written = Rationale.objects.filter(question=OuterRef("pk"), role=search.role)
        found = found.filter(Exists(written))
    right, wrong = marked(1, search.role), marked(0, search.role)
    conditions = {
        "all": Q(right) & ~Q(wrong),
        "mixed": Q(right) & Q(wrong),
        "none": Q(wrong) & ~Q(right),
    }
    return found.filter(conditions[search.right]) if search.right in conditions else found


def marked(value: int, role: str) -> Exists:
    """Whether a rationale of the question's was last scored so: 1 is right, 0 wrong."""
    newer = Score.objects.filter(
        rationale=OuterRef("rationale"), scorer=CORRECT, pk__gt=OuterRef("pk")
    )
    scores = Score.objects.filter(
        ~Exists(newer), rationale__question=OuterRef("pk"), scorer=CORRECT, value=value
    )
    return Exists(scores.filter(rationale__role=role) if role else scores)


def page_of(
    found: QuerySet[Question],
    after: int | None = None,
    before: int | None = None,
    newest: bool = False,
) -> Page:
    """The page that begins after a key, or that ends before one; the first without either.

    `newest` turns the order round, and with it what comes after a key.
    """
    onward, backward = ("-pk", "pk") if newest else ("pk", "-pk")
    beyond, nearer = ("pk__lt", "pk__gt") if newest else ("pk__gt", "pk__lt")
    if before:
        chosen = list(found.filter(**{nearer: before}).order_by(backward)[: PAGE + 1])
        is_first, is_last = len(chosen) <= PAGE, False
        chosen = chosen[:PAGE][::-1]
    else:
        rest = found.filter(**{beyond: after}) if after else found
        chosen = list(rest.order_by(onward)[: PAGE + 1])
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
    """The questions with their counts, in four queries."""
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
    for pk, share in right_shares(rows).items():
        rows[pk].right = share
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
    found = project.questions.order_by("source").values_list("source", flat=True).distinct()
    return [source for source in found if source]
