"""A run of the real engine whose worker and engine are killed outright ends as if nothing had
happened: every step once, the same weights to the last bit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from training.models import Metric, Run
from training.runs.launch import launch
from training.runs.process import engine_command
from training.runs.supervise import reap, supervise

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
STEPS = 60


@pytest.fixture
def make_run(project, version, student):
    """A run of sixty steps, thirty epochs over two questions."""
    config = {"epochs": STEPS // 2, "groups_per_step": 1, "checkpoint_every": 7}
    config |= {"learning_rate": 1e-3}

    def make() -> Run:
        return launch(
            project,
            "train",
            method="sft",
            config=config,
            dataset=version,
            student=student,
            seed=3,
            enqueue=False,
        )

    return make


def steps(run: Run) -> list[int]:
    found = Metric.objects.filter(run=run, name="loss").order_by("step")
    return list(found.values_list("step", flat=True))


def test_a_killed_run_resumes_bit_for_bit(make_run, other_process_env):
    undisturbed, disturbed = make_run(), make_run()
    assert supervise(undisturbed.pk, "tester", poll=0.1, enqueue=False) == "done"
    kill_worker_and_engine_in_the_middle(disturbed, other_process_env)
    assert 0 < len(steps(disturbed)) < STEPS
    lose_the_lease(disturbed)
    assert supervise(disturbed.pk, "another", poll=0.1, enqueue=False) == "done"
    disturbed.refresh_from_db()
    assert disturbed.attempt == 2
    assert steps(disturbed) == steps(undisturbed) == list(range(1, STEPS + 1))
    assert weights(disturbed) == weights(undisturbed)


def kill_worker_and_engine_in_the_middle(run: Run, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tests.training.supervisor_process", str(run.pk)]
    worker = subprocess.Popen([*command, *engine_command()], cwd=ROOT, env=environment)
    end = time.monotonic() + 120
    while len(steps(run)) < 10:
        assert time.monotonic() < end, "the engine made no steps"
        assert worker.poll() is None
        time.sleep(0.02)
    run.refresh_from_db()
    for pid in (worker.pid, *engines_of(run)):
        os.kill(pid, signal.SIGKILL)
    worker.wait()


def engines_of(run: Run) -> list[int]:
    """The engine's processes; others may end while we look."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if f"{run.folder}/run.json" in process.cmdline():
                found.append(process.pid)
    return found


def lose_the_lease(run: Run) -> None:
    """Half a minute later: the reaper finds the run and queues it again."""
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert reap()["resumed"] == 1


def weights(run: Run) -> str:
    return run.checkpoints.get(step=STEPS).sha256
