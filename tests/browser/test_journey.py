"""The whole way in a browser: import, rank by keyboard, accept, freeze, train, see a curve, export.

Nothing is played: a real broker, real workers in processes of their own, the real engine.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from config.celery import app
from curation.models import DatasetVersion, Question, Ranking, Rationale, Review
from training.demo.problems import demo_problems, write_rationale
from training.models import Metric, Run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
JOB, RUN = 60_000, 180_000  # milliseconds that background work may take on a busy machine


@pytest.fixture
def workers(broker, other_process_env, monkeypatch):
    """A cpu and a gpu worker, as `make run` starts them; the web process knows their broker."""
    monkeypatch.setitem(app.conf, "broker_url", broker)
    environment = {**other_process_env, "BROKER_URL": broker}
    processes = [
        subprocess.Popen(
            [sys.executable, "manage.py", "work", "--queue", queue, *more],
            cwd=ROOT,
            env=environment,
        )
        for queue, *more in (["cpu", "--beat"], ["gpu"])
    ]
    yield
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(30)


@pytest.fixture
def stories(tmp_path) -> Path:
    """A file as a person would bring it: questions, each with a right and two wrong rationales."""
    rng = random.Random(1)
    file = tmp_path / "stories.jsonl"
    rows = []
    for number, problem in enumerate(demo_problems(12)):
        written = [write_rationale(problem, habit, rng) for habit in ("careful", "misread", "slip")]
        rows.append(
            {
                "question": problem.question,
                "answer": str(problem.answer),
                "split": "test" if number < 2 else "train",
                "rationales": [f"{one.thought}\n#### {one.answer}" for one in written],
            }
        )
    rows.append({"question": "", "answer": "1"})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_from_a_file_to_a_trained_student_and_an_export(
    page: Page, project, researcher, workers, stories, tmp_path
):
    log_in(page, researcher)
    import_file(page, project, stories)
    make_queue(page, project)
    judge_three_groups(page)
    freeze_the_accepted(page, project)
    add_the_student(page, project)
    train_on_the_version(page, project)
    exported = export(page, project, tmp_path)
    messages = [json.loads(line) for line in exported.splitlines()]
    assert len(messages) == 3
    assert {tuple(turn["role"] for turn in row["messages"]) for row in messages} == {
        ("user", "assistant")
    }


def log_in(page: Page, user) -> None:
    page.goto("/")
    page.get_by_label("Name or email").fill(user.username)
    page.get_by_label("Password").fill("quince-and-medlar")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Orchard").first).to_be_visible()


def import_file(page: Page, project, stories: Path) -> None:
    page.goto(reverse("import", args=[project.slug]))
    page.get_by_label("File").set_input_files(stories)
    page.get_by_role("button", name="Upload and look").click()
    expect(page.get_by_text("13 rows of jsonl")).to_be_visible()
    page.get_by_role("button", name="Import 13 rows").click()
    expect(page.get_by_text("Done", exact=True).first).to_be_visible(timeout=JOB)
    assert Question.objects.count() == 12
    assert Rationale.objects.count() == 36
    expect(page.get_by_role("cell", name="is missing or empty")).to_be_visible()


def make_queue(page: Page, project) -> None:
    page.goto(reverse("queue-new", args=[project.slug]))
    page.get_by_label("Name", exact=True).fill("First look")
    page.get_by_label("Split").select_option("train")
    expect(page.locator("#matches")).to_contain_text("10 questions")
    page.get_by_role("button", name="Make the queue").click()
    page.get_by_role("link", name="Start reviewing").click()


def judge_three_groups(page: Page) -> None:
    """By keyboard alone: place all three, accept the best, go on."""
    for judged in range(3):
        expect(page.get_by_text(f"{judged} judged by you")).to_be_visible()
        page.wait_for_function("document.querySelectorAll('#unplaced li').length == 3")
        for key in ("2", "1", "3", "A", "Enter"):
            page.keyboard.press(key)
    expect(page.get_by_text("3 judged by you")).to_be_visible()
    assert Ranking.objects.live().count() == 3
    assert Review.objects.filter(decision="accept").count() == 3


def freeze_the_accepted(page: Page, project) -> None:
    page.goto(reverse("version-new", args=[project.slug]))
    page.get_by_label("Accepted only").check()
    expect(page.locator("#preview")).to_contain_text("3")
    page.get_by_role("button", name="Freeze the version").click()
    expect(page.get_by_role("heading", name="Version 1")).to_be_visible()
    version = DatasetVersion.objects.get()
    assert version.counts["rationales"] == 3


def add_the_student(page: Page, project) -> None:
    page.goto(reverse("model-new", args=[project.slug]))
    page.get_by_label("Kind").select_option("local")
    page.get_by_label("Name", exact=True).fill("sapling")
    page.get_by_label("Base URL or folder").fill(str(ROOT / "training/demo/student"))
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("sapling").first).to_be_visible()


def train_on_the_version(page: Page, project) -> None:
    page.goto(reverse("version", args=[project.slug, 1]))
    page.get_by_role("link", name="Train on this").click()
    page.wait_for_url("**/runs/new/**", wait_until="load")
    page.get_by_label("Method").select_option("sft")
    page.wait_for_url("**method=sft**")
    expect(page.get_by_role("group", name="Data")).to_be_visible()
    expect(page.get_by_label("Dataset version").locator("option:checked")).to_contain_text("v1")
    page.get_by_label("Student", exact=True).select_option(label="sapling")
    for heading in page.locator("details.settings > summary").all():
        heading.click()
    page.get_by_label("Epochs").fill("4")
    page.get_by_label("Groups per step").fill("1")
    page.get_by_role("button", name="Launch").click()
    expect(page.locator("#run-status .chip")).to_have_text("Done", timeout=RUN)
    run = Run.objects.get(kind="train")
    assert run.status == "done", run.error
    assert Metric.objects.filter(run=run, name="loss").count() == 12
    expect(page.locator("#curves canvas").first).to_be_visible()
    expect(page.get_by_role("row", name="12").first).to_be_visible()


def export(page: Page, project, folder: Path) -> str:
    """The JSONL inside the zip that the browser downloads."""
    page.goto(reverse("export-new", args=[project.slug, 1, "sft"]))
    page.get_by_role("button", name="Export").click()
    link = page.locator("#exports").get_by_role("link", name="Download").first
    expect(link).to_be_visible(timeout=JOB)
    with page.expect_download() as waited:
        link.click()
    file = folder / "export.zip"
    waited.value.save_as(file)
    with zipfile.ZipFile(file) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".jsonl"))
        assert any(entry.endswith("README.md") for entry in archive.namelist())
        return archive.read(name).decode()
