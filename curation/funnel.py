"""The loop as a row of figures on a project's home, and what the reader may do next.

Curation knows its own part. Other apps add theirs with `register`, so that curation knows nothing
of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef
from django.urls import reverse

from curation.models import Decision, Project, Question, Ranking, Rationale, Review, User
from curation.queues.leases import may_judge, offered
from curation.wording import counted


@dataclass(frozen=True)
class Step:
    """One figure of the loop, and the page behind it."""

    title: str
    count: int
    about: str
    url: str


@dataclass(frozen=True)
class Next:
    """Something worth doing now: why, and the button that does it."""

    why: str
    words: str
    url: str


Steps = Callable[[Project], Iterator[Step]]
Suggestions = Callable[[Project, User], Iterator[Next]]
_steps: list[tuple[int, Steps]] = []
_suggestions: list[tuple[int, Suggestions]] = []


def register(order: int, steps: Steps, suggestions: Suggestions) -> None:
    """Add steps and suggestions; lower orders come first. Curation itself stands at 0."""
    _steps.append((order, steps))
    _suggestions.append((order, suggestions))


def funnel(project: Project) -> list[Step]:
    """Every step of the loop, in its order."""
    makers = sorted([(0, curated), *_steps], key=lambda pair: pair[0])
    return [step for _, make in makers for step in make(project)]


def suggestions(project: Project, user: User) -> list[Next]:
    """What this person may do next, the most pressing first."""
    makers = sorted([(0, to_curate), *_suggestions], key=lambda pair: pair[0])
    return [found for _, make in makers for found in make(project, user)]


def curated(project: Project) -> Iterator[Step]:
    """From the questions to what was accepted."""
    questions = Question.objects.filter(project=project)
    splits = dict(questions.order_by().values_list("split").annotate(Count("pk")))
    rationales = Rationale.objects.filter(question__project=project)
    roles = dict(rationales.order_by().values_list("role").annotate(Count("pk")))
    by_people = Ranking.objects.live().filter(judge_model=None)
    judged = Exists(by_people.filter(question=OuterRef("pk")))
    reviewed = Exists(Review.objects.live().filter(rationale__question=OuterRef("pk")))
    yes = Review.objects.live().filter(decision=Decision.ACCEPT, rationale=OuterRef("pk"))
    url = reverse("questions", args=[project.slug])
    yield Step("Questions", sum(splits.values()), told(splits), url)
    yield Step("Rationales", sum(roles.values()), told(roles), f"{url}?state=with")
    count = questions.filter(judged | reviewed).count()
    yield Step("Judged", count, "questions ranked or reviewed", f"{url}?state=judged")
    count = rationales.filter(Exists(yes)).count()
    yield Step("Accepted", count, "rationales to learn from", f"{url}?state=accepted")


def told(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))


def to_curate(project: Project, user: User) -> Iterator[Next]:
    """Groups that wait for this person; questions, if there are none."""
    if user.has_perm("curation.annotate", project):
        yield from waiting(project, user)
    if user.has_perm("curation.research", project) and not project.questions.exists():
        yield Next(
            "The project has no questions yet.",
            "Import a file",
            reverse("import", args=[project.slug]),
        )


def waiting(project: Project, user: User) -> Iterator[Next]:
    """Open queues that have something for this person."""
    for queue in project.queues.filter(is_open=True)[:5]:
        count = offered(queue, user).count() if may_judge(queue, user) else 0
        if count:
            yield Next(
                f"{counted(count, 'group waits', 'groups wait')} for you in {queue}.",
                "Review",
                reverse("review", args=[project.slug, queue.pk]),
            )
