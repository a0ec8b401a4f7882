"""`manage.py work` against a real broker: it appears, takes runs, and leaves when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.make import make_question, make_rationale
from training.models import Run, Worker
from training.runs.launch import launch
from training.runs.workers import probe_device, worker_name

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def worker(broker, other_process_env):
    environment = {**other_process_env, "BROKER_URL": broker}
    command = [sys.executable, "manage.py", "work", "--queue", "cpu", "--beat"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


def wait_for(condition, seconds: float = 60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
    return found


def test_a_worker_appears_takes_runs_and_leaves(project, broker, worker, other_process_env):
    make_rationale(make_question(project))
    alive = wait_for(lambda: Worker.objects.first())
    assert alive.name == worker_name("cpu")
    assert alive.device == probe_device().name
    assert alive.is_alive

    command = [sys.executable, "manage.py", "launch", "orchard", "score", "--wait"]
    environment = {**other_process_env, "BROKER_URL": broker}
    assert subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0
    run = Run.objects.get()
    assert run.status == "done"
    assert run.lease_owner.startswith(f"{alive.name}/{worker.pid}/")

    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert not Worker.objects.exists()


def test_a_launch_without_a_broker_waits_and_is_told_of_later(project, monkeypatch):
    make_rationale(make_question(project))
    run = launch(project, "score")
    assert run.status == "queued", "the row is the truth, the message only a hint"


def test_the_device_is_named_without_torch():
    code = (
        "import django; django.setup()\n"
        "import sys, training.runs.workers as w\n"
        "print(w.probe_device().name)\n"
        "assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()
