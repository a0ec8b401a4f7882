"""How long every page takes with the real files loaded: the server's time for each GET.

Every address of the application is visited, or named below as one that is no page; a new one that
is neither stops the benchmark.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from typing import Any

from benchmarks._project import files_in, fresh_installation

VISITS = 15
TARGET_MS = 200
# Deeds, downloads, and parts of pages that are fetched by themselves.
NO_PAGES = {
    "agreement-measure", "audit-file", "comment", "comment-withdraw", "experiment-do",
    "delivery-again", "import-preview", "job-again", "job-cancel", "job-file", "member-remove",
    "member-role", "preset-remove", "preset-save", "questions-bulk", "queue-agreement-measure",
    "queue-fill", "queue-gold-remove", "queue-open", "queue-preview", "queue-refresh",
    "rationales-bulk", "rehearsal-launch", "review-ahead", "review-diff", "review-draft",
    "review-layout", "review-more", "review-skip", "run-cancel", "run-compare-curves",
    "run-compare-file", "run-preset", "run-rehearse", "run-resume", "version-file",
    "version-left-out", "version-preview", "webhook-remove", "webhook-secret", "webhook-switch",
    "webhook-test",
}  # fmt: skip
# Pages of what a training or a rehearsal has written, and of an experiment: see `run_page`.
NOTHING_TO_SHOW = {
    "checkpoint-card", "checkpoint-download", "checkpoint-lineage", "experiment", "rehearsal",
    "run-log", "webhook",
}  # fmt: skip


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    files = files_in(arguments.data)
    with fresh_installation():
        from curation.models import Question, Rationale

        project, user = loaded(files)
        rows = list(timed(project, user))
        loaded_rows = {
            "questions": Question.objects.count(),
            "rationales": Rationale.objects.count(),
        }
    show(rows, loaded_rows)
    return {"target_ms": TARGET_MS, "visits": VISITS, "loaded": loaded_rows, "pages": rows}


def loaded(files: list[Any]) -> tuple[Any, Any]:
    """A project with every file, a queue over the test questions that has been worked in, a
    version, a run with a curve and an evaluation."""
    from django.core.management import call_command

    from curation.models import Membership, Project, Queue, User
    from curation.queues.contents import Filter, fill
    from training.versions.freezing import freeze
    from training.versions.recipe import Recipe

    user = User.objects.create_user("bench", password="bench")
    project = Project.objects.create(slug="gsm8k", name="GSM8K", created_by=user)
    Membership.objects.create(project=project, user=user, role="owner")
    for file in files:
        call_command("import", "gsm8k", file, verbosity=0)
    queue = Queue.objects.create(
        project=project, name="Test", filter=Filter(split="test").stored(), created_by=user
    )
    fill(queue)
    judged(queue, user, 100)
    version = freeze(project, Recipe(selection="correct"), user, "Everything right")
    run_of(project, version)
    return project, user


def judged(queue: Any, user: Any, count: int) -> None:
    from curation.queues.leases import claim
    from curation.review.judging import submit

    for _ in range(count):
        held = claim(queue, user)
        order = held.shown_order
        submit(held, {pk: rank for rank, pk in enumerate(order, 1)}, {order[0]: "accept"})
    claim(queue, user)


def run_of(project: Any, version: Any) -> None:
    """A finished run of a thousand steps, and an evaluation of its model on every test question."""
    from django.utils import timezone

    from curation.models import LanguageModel, Question
    from training.models import Evaluation, EvaluationItem, Metric, Run
    from training.runs.evaluate_runs import hash_of_ids
    from training.runs.launch import launch

    student = LanguageModel.objects.create(
        project=project, name="student", provider="local", uri="training/demo/student"
    )
    made = launch(project, "train", method="sft", dataset=version, student=student, enqueue=False)
    names = ("loss", "learning_rate", "grad_norm", "tokens")
    Metric.objects.bulk_create(
        Metric(run=made, step=step, name=name, value=1 / step)
        for step in range(1, 1001)
        for name in names
    )
    looked = launch(project, "evaluate", student=student, enqueue=False)
    now = timezone.now()
    Run.objects.filter(pk__in=[made.pk, looked.pk]).update(
        status="done", started_at=now, finished_at=now
    )
    ids = list(Question.objects.filter(project=project, split="test").values_list("pk", flat=True))
    evaluation = Evaluation.objects.create(
        run=looked,
        model=student,
        split="test",
        questions=len(ids),
        questions_sha256=hash_of_ids(ids),
        summary={"accuracy": 0.5, "accuracy_low": 0.47, "accuracy_high": 0.53},
    )
    EvaluationItem.objects.bulk_create(
        EvaluationItem(
            evaluation=evaluation,
            question_id=pk,
            index=index,
            thought="1 + 1 = 2",
            answer="2",
            correct=index == 0,
            valid_steps=1.0,
            token_count=9,
            finish_reason="stop",
        )
        for pk in ids
        for index in range(5)
    )


def timed(project: Any, user: Any) -> Iterator[dict[str, Any]]:
    from django.test import Client

    client = Client()
    client.force_login(user)
    for name, url in addresses(project):
        spent = [visit(client, url) for _ in range(VISITS + 1)][1:]
        yield {
            "page": name,
            "median_ms": round(statistics.median(spent), 1),
            "slowest_ms": round(max(spent), 1),
        }


def visit(client: Any, url: str) -> float:
    """Milliseconds of one GET, redirects followed."""
    began = time.perf_counter()
    answer = client.get(url, follow=True, headers={"host": "localhost"})
    spent = (time.perf_counter() - began) * 1000
    if answer.status_code != 200:
        raise SystemExit(f"{url} answered {answer.status_code}.")
    return spent


def addresses(project: Any) -> Iterator[tuple[str, str]]:
    """Name and address of every page, and of the searches that are worth a line of their own."""
    from django.urls import get_resolver, reverse

    from training.methods import methods

    known = arguments_of(project)
    for route in ours(get_resolver()):
        if route.name in NO_PAGES | NOTHING_TO_SHOW:
            continue
        if route.name not in known:
            raise SystemExit(f"{route.name}: name its arguments in {__file__}, or put it aside.")
        address = reverse(route.name, args=known[route.name])
        yield (
            route.name,
            f"{address}?b={known['rationale'][1]}" if route.name == "diff" else address,
        )
    yield "login", "/accounts/login/"
    questions = reverse("questions", args=[project.slug])
    yield "questions, searched", f"{questions}?q=apples+basket"
    yield "questions, test split", f"{questions}?split=test"
    new = reverse("run-new", args=[project.slug])
    for method in methods():
        yield f"run-new, {method}", f"{new}?kind=train&method={method}"


def ours(resolver: Any) -> Iterator[Any]:
    """The patterns of curation and training."""
    for group in resolver.url_patterns:
        module = getattr(group, "urlconf_name", None)
        if getattr(module, "__name__", "") in {"curation.urls", "training.urls"}:
            yield from group.url_patterns


def arguments_of(project: Any) -> dict[str, list[Any]]:
    """What each page's address needs beside the project."""
    from curation.models import Job, LanguageModel, Question, Queue
    from training.export import formats
    from training.models import Evaluation, Run

    slug = project.slug
    job = Job.objects.create(project=project, kind="import", status="done")
    queue = Queue.objects.get(project=project)
    held = queue.items.first().assignments.first()
    alone = ("project", "project-settings", "members", "questions", "rationales", "audit",
             "reasons", "review-keys", "import", "jobs", "models", "model-new", "queues",
             "queue-new", "agreement", "agreement-items", "versions", "version-new", "experiments",
             "experiment-new", "presets", "runs", "run-new", "run-compare", "evaluations",
             "judges", "notices", "webhooks", "workers")  # fmt: skip
    of_queue = ("queue", "queue-settings", "queue-gold", "queue-agreement",
                "queue-agreement-items", "adjudication", "review", "review-mine")  # fmt: skip
    of_rationale = ("rationale", "rationale-correct", "rationale-lineage")
    question = Question.objects.filter(project=project, split="test").first()
    rationale = question.rationales.first()
    run = Run.objects.filter(project=project, kind="train").get()
    return {
        "projects": [],
        "project-new": [],
        **{name: [slug] for name in alone},
        "question": [slug, question.pk],
        "job": [slug, job.pk],
        "model": [slug, LanguageModel.objects.filter(project=project).first().pk],
        **{name: [slug, queue.pk] for name in of_queue},
        "adjudicate": [slug, queue.pk, held.item.question_id],
        "diff": [slug, question.pk],
        **{name: [slug, rationale.pk] for name in of_rationale},
        "review-item": [slug, queue.pk, held.pk],
        "version": [slug, 1],
        "version-exports": [slug, 1],
        "export-new": [slug, 1, next(iter(formats()))],
        "run": [slug, run.pk],
        "run-metrics": [slug, run.pk],
        "evaluation": [slug, Evaluation.objects.get().pk],
    }


def show(rows: list[dict[str, Any]], loaded_rows: dict[str, int]) -> None:
    from rich.console import Console
    from rich.table import Table

    told = ", ".join(f"{count:,} {name}" for name, count in loaded_rows.items())
    table = Table("page", title=f"Every page with {told}")
    table.add_column("median, ms", justify="right")
    table.add_column(f"slowest of {VISITS}, ms", justify="right")
    for row in sorted(rows, key=lambda row: -row["slowest_ms"]):
        slow = "[red]" if row["slowest_ms"] > TARGET_MS else ""
        table.add_row(row["page"], f"{row['median_ms']}", f"{slow}{row['slowest_ms']}")
    Console().print(table)
