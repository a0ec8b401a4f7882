"""Who may open what: every address of the application, every role, one table.

A new address that is not in the table fails the first test.
"""

from __future__ import annotations

import pytest
from django.urls import get_resolver, reverse

from curation.models import Job, LanguageModel, Membership, Project, Queue, Role
from curation.queues.leases import claim
from tests.make import make_group, make_queue
from tests.training.grove import trained
from training.experiments.deeds import begin
from training.models import Delivery, Evaluation, Preset, Webhook
from training.runs.launch import launch
from training.runs.rehearsing import ask_for_rehearsal
from training.versions.freezing import freeze
from training.versions.recipe import Recipe

pytestmark = pytest.mark.django_db

READ, JUDGE, RESEARCH, OWN = "view_project", "annotate", "research", "own"
ROLES = {
    READ: {"viewer", "annotator", "researcher", "owner"},
    JUDGE: {"annotator", "researcher", "owner"},
    RESEARCH: {"researcher", "owner"},
    OWN: {"owner"},
}
# Address → what its GET takes, what its POST takes; None: it has no such method.
TABLE: dict[str, tuple[str | None, str | None]] = {
    "project": (READ, None),
    "project-settings": (OWN, OWN),
    "questions": (READ, None),
    "question": (READ, None),
    "questions-bulk": (None, RESEARCH),
    "rationales": (READ, None),
    "rationales-bulk": (None, RESEARCH),
    "audit": (OWN, None),
    "audit-file": (OWN, None),
    "members": (RESEARCH, OWN),
    "member-role": (None, OWN),
    "member-remove": (None, OWN),
    "queues": (READ, None),
    "queue-new": (RESEARCH, RESEARCH),
    "queue-preview": (None, RESEARCH),
    "queue": (READ, None),
    "queue-open": (None, RESEARCH),
    "queue-fill": (None, RESEARCH),
    "queue-refresh": (None, RESEARCH),
    "queue-settings": (RESEARCH, RESEARCH),
    "queue-gold": (RESEARCH, RESEARCH),
    "queue-gold-remove": (None, RESEARCH),
    "review-ahead": (None, JUDGE),
    "agreement": (READ, None),
    "agreement-items": (READ, None),
    "agreement-measure": (None, RESEARCH),
    "queue-agreement": (READ, None),
    "queue-agreement-items": (READ, None),
    "queue-agreement-measure": (None, RESEARCH),
    "adjudication": (RESEARCH, None),
    "adjudicate": (RESEARCH, RESEARCH),
    "review": (JUDGE, None),
    "review-mine": (JUDGE, None),
    "review-layout": (None, JUDGE),
    "review-keys": (JUDGE, JUDGE),
    "reasons": (OWN, OWN),
    "diff": (READ, None),
    "rationale": (READ, None),
    "rationale-correct": (JUDGE, JUDGE),
    "comment": (None, JUDGE),
    "import": (RESEARCH, RESEARCH),
    "jobs": (READ, None),
    "job": (READ, None),
    "job-cancel": (None, RESEARCH),
    "job-again": (None, RESEARCH),
    "models": (READ, None),
    "model-new": (RESEARCH, RESEARCH),
    "model": (RESEARCH, RESEARCH),
    "versions": (READ, None),
    "version-new": (RESEARCH, RESEARCH),
    "version-preview": (None, RESEARCH),
    "version": (READ, None),
    "version-file": (READ, None),
    "version-left-out": (READ, None),
    "version-exports": (READ, None),
    "export-new": (RESEARCH, RESEARCH),
    "experiments": (READ, None),
    "experiment-new": (RESEARCH, RESEARCH),
    "experiment": (READ, None),
    "experiment-do": (None, RESEARCH),
    "runs": (READ, None),
    "run-new": (RESEARCH, RESEARCH),
    "run-rehearse": (None, RESEARCH),
    "presets": (READ, None),
    "preset-save": (None, RESEARCH),
    "preset-remove": (None, RESEARCH),
    "rehearsal": (READ, None),
    "rehearsal-launch": (None, RESEARCH),
    "run-compare": (READ, None),
    "run-compare-curves": (READ, None),
    "run-compare-file": (READ, None),
    "run": (READ, None),
    "run-metrics": (READ, None),
    "run-cancel": (None, RESEARCH),
    "run-resume": (None, RESEARCH),
    "run-preset": (None, RESEARCH),
    "evaluations": (READ, None),
    "evaluation": (READ, None),
    "workers": (READ, None),
    "judges": (READ, None),
    "rationale-lineage": (READ, None),
    "checkpoint-lineage": (READ, None),
    "checkpoint-card": (READ, None),
    "checkpoint-download": (READ, None),
    "notices": (READ, READ),
    "webhooks": (OWN, OWN),
    "webhook": (OWN, OWN),
    "webhook-secret": (None, OWN),
    "webhook-switch": (None, OWN),
    "webhook-test": (None, OWN),
    "delivery-again": (None, OWN),
    "webhook-remove": (None, OWN),
}
# Addresses with a rule of their own, tested where they are: an assignment is its holder's alone,
# a ticket belongs to its upload, a file to its job, and these two need no project.
NO_KEY = {"queue-new", "queue-preview"}
ELSEWHERE = {
    "projects", "project-new", "review-item", "review-skip", "review-draft", "import-preview",
    "job-file", "review-more", "review-diff", "comment-withdraw", "run-log",
}  # fmt: skip


def names() -> set[str]:
    groups = [
        group
        for group in get_resolver().url_patterns
        if getattr(getattr(group, "urlconf_name", None), "__name__", "")
        in {"curation.urls", "training.urls"}
    ]
    return {route.name for group in groups for route in group.url_patterns}


def test_every_address_is_in_the_table():
    assert names() == set(TABLE) | ELSEWHERE


@pytest.fixture
def addresses(project, owner) -> dict[str, str]:
    """Every address of the table, in a project that has one of everything."""
    question = make_group(project)
    queue = make_queue(project)
    version = freeze(project, Recipe(), owner)
    student = LanguageModel.objects.create(
        project=project, name="s", provider="local", uri="training/demo/student"
    )
    run = launch(project, "train", method="sft", dataset=version, student=student, enqueue=False)
    looked = launch(project, "evaluate", student=student, enqueue=False)
    evaluation = Evaluation.objects.create(run=looked, model=student, split="test", questions=0)
    preset = Preset.objects.create(project=project, name="usual", kind="train", method="sft")
    rehearsal = ask_for_rehearsal(
        project, method="sft", config={}, dataset=version, student=student, enqueue=False
    )
    experiment = begin(project, "Loop", student, {"iterations": 2}, by=owner)
    member = Membership.objects.get(project=project, user=owner)
    job = Job.objects.create(project=project, kind="import")
    webhook = Webhook.objects.create(project=project, url="https://example.org/")
    delivery = Delivery.objects.create(webhook=webhook, event="ping")
    checkpoint = trained(version, student, owner)
    keys = {
        "question": question.pk, "diff": question.pk,
        "member-role": member.pk, "member-remove": member.pk,
        "job": job.pk, "job-cancel": job.pk, "job-again": job.pk, "model": student.pk,
        **dict.fromkeys(
            ("run", "run-metrics", "run-cancel", "run-resume", "run-preset"), run.pk
        ),
        "preset-remove": preset.pk,
        "rehearsal": rehearsal.pk, "rehearsal-launch": rehearsal.pk, "evaluation": evaluation.pk,
        **dict.fromkeys(("checkpoint-lineage", "checkpoint-card"), checkpoint.pk),
        "checkpoint-download": checkpoint.pk,
        **dict.fromkeys((name for name in TABLE if name.startswith("webhook-")), webhook.pk),
        "webhook": webhook.pk, "delivery-again": delivery.pk,
        "rationale-lineage": question.rationales.earliest("pk").pk,
        "experiment": experiment.pk, "experiment-do": experiment.pk,
        "version": 1, "version-file": 1, "version-left-out": 1, "version-exports": 1,
        **dict.fromkeys(
            (name for name in TABLE if name.startswith("queue-") and name not in NO_KEY), queue.pk
        ),
        **dict.fromkeys(("queue", "review", "review-mine"), queue.pk),
        **dict.fromkeys(("review-ahead", "adjudication"), queue.pk),
        **dict.fromkeys(
            ("rationale", "rationale-correct", "comment"), question.rationales.earliest("pk").pk
        ),
    }  # fmt: skip
    found = {
        name: reverse(name, args=[project.slug, *([keys[name]] if name in keys else [])])
        for name in TABLE
        if name not in {"export-new", "adjudicate", "queue-gold-remove"}
    }
    found["diff"] += f"?b={question.rationales.earliest('pk').pk}"
    item = queue.items.get()
    found["adjudicate"] = f"{found['adjudication']}{item.question_id}/"
    found["queue-gold-remove"] = f"{found['queue-gold']}{item.pk}/remove/"
    return {**found, "export-new": reverse("export-new", args=[project.slug, 1, "sft"])}


def statuses(client, addresses: dict[str, str]) -> dict[tuple[str, str], int]:
    """What each address answers to each method that it has."""
    found = {}
    for name, (get, post) in TABLE.items():
        if get:
            found[name, "get"] = client.get(addresses[name]).status_code
        if post:
            found[name, "post"] = client.post(addresses[name]).status_code
    return found


def test_nobody_enters_without_a_login(client, addresses):
    assert set(statuses(client, addresses).values()) == {302}
    assert client.get(addresses["runs"]).url.startswith("/accounts/login/")


def test_a_stranger_learns_nothing(client, addresses, stranger):
    client.force_login(stranger)
    told = statuses(client, addresses)
    assert {key: status for key, status in told.items() if status != 404} == {}


@pytest.mark.parametrize("role", Role.values)
def test_a_role_does_what_the_table_says_and_no_more(client, addresses, member, role):
    client.force_login(member(f"the-{role}", role))
    wrong = []
    for (name, method), status in statuses(client, addresses).items():
        needed = TABLE[name][0 if method == "get" else 1]
        allowed = role in ROLES[needed]
        if (status == 403) == allowed or status in {404, 405, 500}:
            wrong.append(f"{role}: {method} {name} answered {status}")
    assert wrong == []


def test_what_changes_something_is_no_get(client, addresses, owner):
    client.force_login(owner)
    told = {
        name: client.get(addresses[name]).status_code for name, row in TABLE.items() if not row[0]
    }
    assert set(told.values()) == {405}, told


def test_an_owner_elsewhere_reaches_nothing_here(client, addresses, stranger, project):
    """The same keys under the address of a project of one's own."""
    other = Project.objects.create(slug="grove", name="Grove")
    Membership.objects.create(project=other, user=stranger, role="owner")
    client.force_login(stranger)
    keyed = [name for name, url in addresses.items() if any(c.isdigit() for c in url)]
    for name in keyed:
        url = addresses[name].replace("/p/orchard/", "/p/grove/")
        method = client.get if TABLE[name][0] else client.post
        assert method(url).status_code == 404, name


def test_an_assignment_is_its_holders_alone(client, project, annotator, second_annotator):
    make_group(project)
    queue: Queue = make_queue(project)
    held = claim(queue, annotator)
    client.force_login(second_annotator)
    for name in ("review-item", "review-skip", "review-draft"):
        url = reverse(name, args=[project.slug, queue.pk, held.pk])
        assert client.post(url, {"reason": "x"}).status_code == 404
    for name in ("review-item", "review-more", "review-diff"):
        url = reverse(name, args=[project.slug, queue.pk, held.pk])
        assert client.get(url, {"card": 1, "a": 1, "b": 2}).status_code == 404


def test_every_write_asks_for_the_token(addresses, owner):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    told = {name: client.post(addresses[name]).status_code for name, row in TABLE.items() if row[1]}
    assert set(told.values()) == {403}, told
