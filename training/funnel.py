"""Training's part of a project's home: versions, runs, evaluations, and what to do next; runs as a
source of work."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, OuterRef, Q, Subquery
from django.urls import reverse

from curation.funnel import Next, Step
from curation.models import Project, Rationale, Review, User
from curation.work import LATEST, Work
from training.models import Evaluation, Run, RunKind, RunStatus


def trained(project: Project) -> Iterator[Step]:
    """From the frozen versions to the evaluations."""
    slug = project.slug
    versions = project.dataset_versions.count()
    yield Step("Versions", versions, "frozen and numbered", reverse("versions", args=[slug]))
    runs = project.runs.order_by()
    statuses = dict(runs.values_list("status").annotate(Count("pk")))
    going = statuses.get(RunStatus.RUNNING, 0) + statuses.get(RunStatus.QUEUED, 0)
    failed = statuses.get(RunStatus.FAILED, 0)
    about = f"{going:,} under way, {failed:,} failed" if going or failed else "of every kind"
    yield Step("Runs", sum(statuses.values()), about, reverse("runs", args=[slug]))
    count = Evaluation.objects.filter(run__project=project).count()
    yield Step("Evaluations", count, "on held-out questions", reverse("evaluations", args=[slug]))


def to_train(project: Project, user: User) -> Iterator[Next]:
    """For researchers: the first thing that the loop still lacks."""
    if not user.has_perm("curation.research", project) or not project.questions.exists():
        return
    new = reverse("run-new", args=[project.slug])
    if not Rationale.objects.filter(question__project=project).exists():
        yield Next("The questions have no rationales.", "Ask a teacher", f"{new}?kind=generate")
    elif not project.queues.exists():
        url = reverse("queue-new", args=[project.slug])
        yield Next("Nobody is asked to judge the rationales yet.", "Make a queue", url)
    elif not project.dataset_versions.exists():
        if Review.objects.filter(rationale__question__project=project).exists():
            url = reverse("version-new", args=[project.slug])
            yield Next("Judgements are there, but no version.", "Freeze a version", url)
    elif not project.runs.filter(kind=RunKind.TRAIN).exists():
        version = project.dataset_versions.latest("number")
        url = f"{new}?kind=train&dataset={version.pk}"
        yield Next(f"{version} waits to be learnt from.", "Train on it", url)
    elif not project.runs.filter(kind=RunKind.EVALUATE).exists():
        yield Next("No model has been evaluated.", "Evaluate one", f"{new}?kind=evaluate")


def runs(project: Project, condition: Q) -> Iterator[Work]:
    """Runs as work: drawn rationales carry their run's batch."""
    found = project.runs.filter(condition).select_related("launched_by")
    found = found.defer("config", "progress", "result")
    for run in found if condition else found[:LATEST]:
        run.project = project
        yield Work(
            title=str(run),
            url=run.get_absolute_url(),
            status=run.status,
            error=run.error,
            batch=run.batch,
            at=run.created_at,
            by=run.launched_by,
        )


def last_run() -> Subquery:
    """When a project's newest run was launched."""
    found = Run.objects.filter(project=OuterRef("pk")).order_by("-pk")
    return Subquery(found.values("created_at")[:1])
