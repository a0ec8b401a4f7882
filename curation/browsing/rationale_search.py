"""Finding rationales, whatever their question: by words, author, work, score, verdict and tag.

A reader who may still be asked to judge blindly does not learn here who wrote what, nor what
others made of it: `veiled` says who that is, and the form leaves those filters out for them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, QuerySet
from django.db.models.functions import Left

from curation.browsing import keyset
from curation.browsing.keyset import Order
from curation.browsing.question_search import (
    CORRECT,
    PAGE,
    Sought,
    last_scores,
    tagged,
    there,
    words,
    written_as,
)
from curation.models import (
    Decision,
    Project,
    Rationale,
    RationaleTag,
    Review,
    Score,
    User,
    Words,
)

VERDICTS = {
    "": "any",
    "accepted": "accepted",
    "rejected": "rejected",
    "undecided": "neither",
    "contested": "accepted and rejected",
}
RIGHT = {"": "any", "yes": "right", "no": "wrong", "unknown": "could not be told"}
ORDERS = {
    "": "oldest first",
    "newest": "newest first",
    "low": "lowest score first",
    "high": "highest score first",
}
_ORDERS = {
    "newest": Order(descending=True),
    "low": Order("sorted_score__value", of=float),
    "high": Order("sorted_score__value", descending=True, of=float),
}
BEGINNING = 280
FEW = 2_000


@dataclass(frozen=True)
class RationaleSearch(Sought):
    """`right` is yes, no or unknown; sorting by score takes the scorer, or the answer's."""

    verdict: str = ""


@dataclass
class Line:
    """A rationale as a line of the list: its beginning, and what is known and was said of it."""

    rationale: Rationale
    correct: float | None = None
    sought: float | None = None  # the score that the list is filtered or sorted by
    accepts: int = 0
    rejects: int = 0
    mine: str = ""
    tags: list[str] = field(default_factory=list)


@dataclass
class Lines:
    rows: list[Line] = field(default_factory=list)
    before: str | None = None
    after: str | None = None


def veiled(project: Project, reader: User) -> bool:
    """Whether an open queue that hides authors may hand this reader something of the project."""
    may_judge = reader.has_perm("curation.annotate", project)
    if not may_judge or reader.has_perm("curation.research", project):
        return False
    return project.queues.filter(is_open=True, blind=True).exists()


def matching(project: Project, search: RationaleSearch) -> QuerySet[Rationale]:
    """The rationales that the search finds."""
    found = Rationale.objects.filter(written_as(search), question__project=project)
    if search.q:
        found = found.filter(saying(search.q))
    if search.split:
        found = found.filter(question__split=search.split)
    if search.source:
        found = found.filter(question__source=search.source)
    if search.tag:
        found = found.filter(Exists(tagged(RationaleTag, project, search.tag, "rationale")))
    return judged(answered(found, search.right), search.verdict)


def saying(given: str) -> Q:
    """Rationales that say this.

    Of rare words the keys are looked up first: PostgreSQL takes them for less rare than they are,
    and would walk through the whole table for a page of them. Common words fill a page soon. A
    phrase of common words is looked up for as long as a person waits, then taken for common.
    """
    matches = Words.objects.filter(search=words(given)).values_list("pk", flat=True)
    keys = keyset.patiently(lambda: list(matches[: FEW + 1]))
    if keys is None or len(keys) > FEW:
        return there(matches.filter(rationale=OuterRef("pk")))
    return Q(pk__among=keys)


def answered(found: QuerySet[Rationale], right: str) -> QuerySet[Rationale]:
    scores = last_scores(CORRECT).filter(rationale=OuterRef("pk"))
    conditions = {
        "yes": Q(Exists(scores.filter(value=1))),
        "no": Q(Exists(scores.filter(value=0))),
        "unknown": ~Q(Exists(scores.filter(value__isnull=False))),
    }
    return found.filter(conditions[right]) if right in conditions else found


def judged(found: QuerySet[Rationale], verdict: str) -> QuerySet[Rationale]:
    live = Review.objects.live().filter(rationale=OuterRef("pk"))
    yes = Q(Exists(live.filter(decision=Decision.ACCEPT)))
    no = Q(Exists(live.filter(decision=Decision.REJECT)))
    conditions = {
        "accepted": yes,
        "rejected": no,
        "undecided": ~Q(Exists(live)),
        "contested": yes & no,
    }
    return found.filter(conditions[verdict]) if verdict in conditions else found


def page_of(
    found: QuerySet[Rationale],
    search: RationaleSearch,
    reader: User,
    after: str | None = None,
    before: str | None = None,
) -> Lines:
    """The page that begins after a key, or that ends before one; the first without either."""
    order = _ORDERS.get(search.order, Order())
    if order.column != "pk":
        found = with_score(found, search.scorer or CORRECT)
    chosen = keyset.page(found, order, PAGE, after, before, with_its_question)
    rows = lines_of(chosen.rows, reader, search.scorer)
    return Lines(rows, chosen.before, chosen.after)


def with_its_question(rows: QuerySet[Rationale]) -> QuerySet[Rationale]:
    """What a line shows: the question, the author and the beginning; no long text."""
    return (
        rows.select_related("question", "author_model", "author_user")
        .annotate(beginning=Left("thought", BEGINNING))
        .defer("thought", "prompt_sent", "sampling", "token_ids", "token_logprobs",
               "question__metadata", "question__search")
    )  # fmt: skip


def with_score(found: QuerySet[Rationale], scorer: str) -> QuerySet[Rationale]:
    """Those that the scorer could score, joined with its last score: so an index sorts them."""
    score = FilteredRelation("scores", condition=Q(scores__scorer=scorer))
    joined = found.annotate(sorted_score=score).filter(sorted_score__value__isnull=False)
    # Named before it is compared: a second way to the relation would be a second join.
    joined = joined.annotate(sorted_key=F("sorted_score__pk"))
    newer = Score.objects.filter(
        rationale=OuterRef("pk"), scorer=scorer, pk__gt=OuterRef("sorted_key")
    )
    return joined.filter(~Exists(newer))


def lines_of(rationales: Sequence[Rationale], reader: User, scorer: str = "") -> list[Line]:
    """The rationales with their scores, verdicts and tags, in three queries."""
    lines = {rationale.pk: Line(rationale) for rationale in rationales}
    scores = Score.objects.filter(rationale__in=lines, scorer__in={CORRECT, scorer})
    for pk, name, value in scores.order_by("pk").values_list("rationale", "scorer", "value"):
        if name == CORRECT:
            lines[pk].correct = value
        if name == scorer:
            lines[pk].sought = value
    count_verdicts(lines, reader)
    tags = RationaleTag.objects.filter(rationale__in=lines).order_by("tag__name")
    for pk, name in tags.values_list("rationale", "tag__name"):
        lines[pk].tags.append(name)
    return list(lines.values())


def count_verdicts(lines: dict[int, Line], reader: User) -> None:
    said = defaultdict(list)
    live = Review.objects.live().filter(rationale__in=lines)
    for pk, reviewer, decision in live.values_list("rationale", "reviewer", "decision"):
        said[pk].append(decision)
        if reviewer == reader.pk:
            lines[pk].mine = decision
    for pk, decisions in said.items():
        lines[pk].accepts = decisions.count(Decision.ACCEPT)
        lines[pk].rejects = decisions.count(Decision.REJECT)
