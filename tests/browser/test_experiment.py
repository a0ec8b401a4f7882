"""Three iterations from the dashboard alone: the demo project, people in the second, real workers,
the real engine, and twice a worker with its engine is killed outright on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from rich.console import Console

from config.celery import app
from curation.models import Project, Ranking, Rationale
from tests.training.test_real_engine import engines_of
from training.demo import seed
from training.models import Experiment, Metric, Run, RunStatus

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
SOON, LONG = 60_000, 600_000  # milliseconds on a busy machine
QUESTIONS, SAMPLES, GROUPS = 6, 4, 3


@pytest.fixture
def demo(monkeypatch, db) -> Project:
    """The demo project as `make run` seeds it, with a tenth of its questions."""
    for name, count in (("TRAIN", 12), ("TEST", 6), ("ASKED", QUESTIONS)):
        monkeypatch.setattr(seed, name, count)
    seed.seed(Console(quiet=True))
    return Project.objects.get(slug=seed.SLUG)


@pytest.fixture
def start_worker(
    broker, other_process_env, monkeypatch
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """A function that starts a worker as `make run` does; all end with the test."""
    monkeypatch.setitem(app.conf, "broker_url", broker)
    environment = {**other_process_env, "BROKER_URL": broker, "STILLROOM_THREADS": "1"}
    started = []

    def start(queue: str, *more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "manage.py", "work", "--queue", queue, *more]
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment))
        return started[-1]

    yield start
    for process in started:
        process.terminate()
    for process in started:
        process.wait(60)


def test_three_iterations_with_people_in_the_second_killed_twice(page: Page, demo, start_worker):
    start_worker("cpu", "--beat")
    worker = start_worker("gpu")
    log_in(page)
    begin(page)
    experiment = Experiment.objects.get()
    kill_in_training(experiment, 1, worker)
    worker = start_worker("gpu")
    expect(page.locator(".lede", has_text="the gate waits for people")).to_be_visible(timeout=LONG)
    keep(page, "gate")
    rank_the_groups(page)
    kill_in_training(experiment, 3, worker)
    start_worker("gpu")
    page.goto(experiment.get_absolute_url())
    expect(page.locator(".lede", has_text="All 3 iterations are done.")).to_be_visible(timeout=LONG)
    keep(page, "done")
    expect(page.locator(".chart svg").first).to_be_visible()
    expect(page.get_by_role("heading", name="Iteration 3")).to_be_visible()
    everything_is_there_once(experiment)


def log_in(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Name or email").fill("rosa")
    page.get_by_label("Password").fill("stillroom-demo")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Demo: little number stories").first.click()
    page.get_by_role("link", name="Experiments").click()


def begin(page: Page) -> None:
    """The form with its defaults, but few questions, so that the test is short."""
    page.get_by_role("link", name="Begin the first").click()
    expect(page.get_by_label("Method", exact=True)).to_have_value("cotd_po")
    for label, value in {
        "Name": "Loop",
        "Most questions": str(QUESTIONS),
        "Samples per question": str(SAMPLES),
        "Ask people in iterations": "2",
        "Groups for people": str(GROUPS),
        "Anchors": "1",
        "Evaluated questions": "6",
        "Answers sampled for each": "1",
    }.items():
        page.get_by_label(label, exact=True).fill(value)
    for heading in page.locator("details.settings > summary").all():
        heading.click()
    page.get_by_label("Stop by win-rate").select_option("never")
    page.get_by_label("Stop when diversity fell by (%)").fill("0")
    page.get_by_label("Epochs").fill("20")
    page.get_by_label("Groups per step").fill("2")
    page.get_by_label("Checkpoint every").fill("5")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", name="Loop")).to_be_visible(timeout=SOON)


def kill_in_training(experiment: Experiment, number: int, worker: subprocess.Popen[bytes]) -> None:
    """kill -9 for the worker and its engine, once it has taken steps; half a minute later, by the
    clock of the lease, the run is anybody's."""
    run = wait_for(lambda: training_run(experiment, number))
    wait_for(lambda: Metric.objects.filter(run=run, name="loss").exists())
    for pid in (worker.pid, *engines_of(run)):
        os.kill(pid, signal.SIGKILL)
    worker.wait()
    Run.objects.filter(pk=run.pk, status=RunStatus.RUNNING).update(
        lease_until=timezone.now() - timedelta(seconds=1)
    )


def training_run(experiment: Experiment, number: int) -> Run | None:
    found = Run.objects.filter(kind="train", iteration_run__iteration__experiment=experiment)
    return found.filter(iteration_run__iteration__number=number).exclude(folder="").first()


def wait_for(condition: Callable[[], object], seconds: float = 600):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found


def rank_the_groups(page: Page) -> None:
    """By keyboard: the cards in the order that they are shown in."""
    page.get_by_role("link", name="Its queue").click()
    page.get_by_role("link", name="Start reviewing").click()
    for judged in range(GROUPS):
        expect(page.get_by_text(f"{judged} judged by you")).to_be_visible(timeout=SOON)
        cards = page.locator("#unplaced li").count()
        for number in range(cards):
            page.keyboard.press(str(number + 1))
        page.keyboard.press("Enter")
    wait_for(lambda: Ranking.objects.live().filter(judge_user__username="rosa").count() == GROUPS)


def everything_is_there_once(experiment: Experiment) -> None:
    """No lost and no doubled row: samples, runs, steps, versions, checkpoints."""
    zero, *turns = experiment.iterations.all()
    assert [one.number for one in turns] == [1, 2, 3]
    assert len({one.checkpoint_id for one in (zero, *turns)}) == 4
    for one in turns:
        runs = [row.run for row in one.stage_runs.all()]
        assert [run.kind for run in runs] == ["generate", "train", "evaluate"]
        assert {run.status for run in runs} == {"done"}
        drawn = Rationale.objects.filter(batch=runs[0].batch)
        assert drawn.count() == QUESTIONS * SAMPLES
        steps = list(Metric.objects.filter(run=runs[1], name="loss").values_list("step", flat=True))
        assert steps == list(range(1, len(steps) + 1))
        assert runs[1].attempt == (1 if one.number == 2 else 2)
    people = turns[1]
    assert people.told["gate"] == f"Open: {GROUPS} of {GROUPS} groups ranked."
    assert people.figures["rewards"]["by"]["people"] == GROUPS
    assert people.dataset.counts["judgements"]["ranked_questions"] == GROUPS


def keep(page: Page, name: str) -> None:
    """A picture, where somebody asked for them."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"experiment-{name}.png", full_page=True)
