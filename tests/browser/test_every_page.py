"""Every page, opened as its owner: no script error, no breach of the content policy, nothing that
axe objects to in light or dark, one first heading, and nothing wider than a phone.

`SCREENSHOTS=FOLDER make test ARGS=tests/browser/test_every_page.py` keeps a picture of each page in
light, dark and narrow.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import get_resolver, reverse
from playwright.sync_api import Page

from curation.models import Job, LanguageModel, Project, Queue
from tests.browser.world import make_world
from training.models import Checkpoint, Evaluation, Run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
NO_PAGES = {
    "import-preview", "queue-preview", "version-preview", "review-draft", "review-layout",
    "review-skip", "review-item", "review-more", "review-diff", "comment", "comment-withdraw",
    "run-metrics", "version-file", "version-left-out", "checkpoint-download",
    "version-exports", "job-cancel", "job-again", "job-file", "run-cancel", "queue-open",
    "queue-fill", "audit-file", "queue-refresh", "review-ahead",
    "agreement-measure", "queue-agreement-measure",
    "run-rehearse", "preset-save", "rehearsal-launch", "run-compare-curves", "run-compare-file",
    "run-resume", "run-preset", "run-log", "experiment-do",
    "webhook-secret", "webhook-switch", "webhook-test", "delivery-again",
}  # fmt: skip


def addresses(project: Project) -> dict[str, str]:
    """Name → address of every page that a project has, and of its states that look different."""
    slug = project.slug
    queue = Queue.objects.filter(project=project, is_open=True).get()
    runs = {run.status: run for run in Run.objects.filter(project=project, kind="train")}
    jobs = {f"{job.kind} {job.status}": job for job in Job.objects.filter(project=project)}
    first = {
        "question": project.questions.get(source="gsm8k").pk,
        "queue": queue.pk,
        "review": queue.pk,
        "review-mine": queue.pk,
        **dict.fromkeys(("queue-settings", "queue-gold", "queue-agreement"), queue.pk),
        **dict.fromkeys(("queue-agreement-items", "adjudication"), queue.pk),
        "diff": project.questions.get(source="gsm8k").pk,
        **dict.fromkeys(
            ("rationale", "rationale-correct"),
            project.questions.get(source="gsm8k").rationales.latest("pk").pk,
        ),
        "model": LanguageModel.objects.filter(project=project).earliest("pk").pk,
        "version": 1,
        "experiment": project.experiments.earliest("pk").pk,
        "evaluation": Evaluation.objects.filter(run__project=project).earliest("pk").pk,
    }
    taught = project.questions.get(source="gsm8k").rationales.earliest("pk")
    checkpoint = Checkpoint.objects.filter(run__project=project).latest("pk")
    first |= {
        "rationale-lineage": taught.pk,
        **dict.fromkeys(("checkpoint-lineage", "checkpoint-card"), checkpoint.pk),
        "webhook": project.webhooks.get().pk,
        "rehearsal": project.rehearsals.get().pk,
    }
    found = {}
    for name in sorted(page_names()):
        if name in {"projects", "project-new"}:
            found[name] = reverse(name)
        elif name == "export-new":
            found[name] = reverse(name, args=[slug, 1, "sft"])
        elif name == "adjudicate":
            item = queue.items.order_by("position").first()
            found[name] = reverse(name, args=[slug, queue.pk, item.question_id])
        elif name == "run":
            found |= {f"run {status}": run.get_absolute_url() for status, run in runs.items()}
        elif name == "job":
            found |= {title: job.get_absolute_url() for title, job in jobs.items()}
        elif name in first:
            found[name] = reverse(name, args=[slug, first[name]])
        else:
            found[name] = reverse(name, args=[slug])
    found["diff"] += f"?b={first['rationale']}"
    new = reverse("run-new", args=[slug])
    found |= {
        f"run-new {kind}": f"{new}?kind={kind}"
        for kind in ("generate", "evaluate", "score", "judge")
    }
    both = "&".join(f"run={run.pk}" for run in (runs["done"], runs["failed"]))
    found |= {
        "runs beside": f"{found['run-compare']}?{both}",
        "run past": f"{runs['done'].get_absolute_url()}?round=0&group=1&probe=0",
        "question-searched": f"{found['questions']}?q=nothing+like+this",
        "rationales-sifted": f"{found['rationales']}?order=high&scorer=tokens&right=yes",
        "audit-narrowed": f"{found['audit']}?kind=review",
    }
    return found


def page_names() -> set[str]:
    ours = [
        group
        for group in get_resolver().url_patterns
        if getattr(getattr(group, "urlconf_name", None), "__name__", "")
        in {"curation.urls", "training.urls"}
    ]
    names = {route.name for group in ours for route in group.url_patterns}
    posts = {name for name in names if name.endswith(("-remove", "-archive", "-role", "-bulk"))}
    return names - NO_PAGES - posts


@pytest.fixture
def world(project, owner, annotator, researcher, tmp_path) -> Project:
    make_world(project, owner, annotator, tmp_path)
    return project


def test_every_page_is_sound_in_light_dark_and_narrow(logged_in, world, owner):
    page = logged_in(owner)
    faults: list[str] = []
    for name, address in addresses(world).items():
        faults += [f"{name}: {fault}" for fault in looked_at(page, name, address)]
    assert not faults, "\n" + "\n".join(faults)


def test_the_pages_of_an_empty_project_say_what_to_do(logged_in, project, owner):
    page = logged_in(owner)
    faults: list[str] = []
    for name in ("project", "questions", "queues", "versions", "experiments", "runs", "evaluations",
                 "jobs", "models", "workers", "judges", "members",
                 "run-new", "version-new", "experiment-new"):  # fmt: skip
        address = reverse(name, args=[project.slug])
        faults += [f"{name}: {fault}" for fault in looked_at(page, f"empty {name}", address)]
    assert not faults, "\n" + "\n".join(faults)


def test_the_pages_without_a_project_are_sound(page, db):
    faults: list[str] = []
    for name, address in {"login": "/accounts/login/", "lost": "/no/such/page/"}.items():
        expected = 404 if name == "lost" else 200
        faults += [f"{name}: {fault}" for fault in looked_at(page, name, address, expected)]
    assert not faults, "\n" + "\n".join(faults)


def looked_at(page: Page, name: str, address: str, status: int = 200) -> list[str]:
    """Everything that is wrong with one page."""
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    answer = page.goto(address)
    assert answer is not None
    if answer.status != status:
        return [f"{address} answered {answer.status}"]
    faults = objections(page, "light")
    if page.locator("h1").count() != 1:
        faults.append(f"{page.locator('h1').count()} first headings")
    keep(page, f"{name} light")
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    faults += objections(page, "dark")
    keep(page, f"{name} dark")
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.set_viewport_size(NARROW)
    wide = page.evaluate("document.documentElement.scrollWidth")
    if wide > NARROW["width"]:
        faults.append(f"{wide} px wide on a phone")
    keep(page, f"{name} narrow")
    return faults


def objections(page: Page, scheme: str) -> list[str]:
    """What axe finds: the rule, and the first place of it."""
    found = Axe().run(page).response["violations"]
    return [f"{scheme}, {one['id']}: {one['nodes'][0]['html'][:140]}" for one in found]


def keep(page: Page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name.replace(' ', '-')}.png", full_page=True)
