"""A run survives: delivered twice, killed, cancelled, abandoned, it ends once and whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import fsspec
import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from tests.training.conftest import FAKE
from training.models import Metric, Run
from training.runs import supervise as supervising
from training.runs.launch import launch, request_cancel
from training.runs.process import command_line
from training.runs.supervise import reap, supervise

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]


def run_it(run: Run, *options: str, owner: str = "tester") -> str:
    return supervise(run.pk, owner, command=[*FAKE, *options], poll=0.05, enqueue=False)


def wait_for(condition, seconds: float = 20):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found


def losses(run: Run) -> list[int]:
    return list(run.metrics.filter(name="loss").values_list("step", flat=True))


def test_a_run_ends_with_its_metrics_and_its_checkpoint_as_a_model(train_run):
    assert run_it(train_run) == "done"
    train_run.refresh_from_db()
    assert losses(train_run) == list(range(1, 11))
    assert train_run.progress["done"] == train_run.progress["total"] == 10
    last = train_run.checkpoints.first()
    assert last.step == 10
    assert last.model.uri == f"{train_run.folder}/checkpoints/step-000010"
    assert last.model.can_train


def test_a_message_delivered_twice_is_no_second_run(train_run):
    assert run_it(train_run) == "done"
    assert run_it(train_run, owner="another") == ""
    train_run.refresh_from_db()
    assert train_run.attempt == 1
    assert train_run.lease_owner == "tester"


def test_a_killed_engine_resumes_as_a_new_attempt_and_doubles_nothing(train_run):
    assert run_it(train_run, "--die-at", "7") == "queued"
    assert run_it(train_run, "--die-at", "7") == "done"
    train_run.refresh_from_db()
    assert train_run.attempt == 2
    assert losses(train_run) == list(range(1, 11))
    assert Metric.objects.filter(run=train_run).count() == 20


def test_an_engine_that_is_always_killed_fails_with_a_sentence(train_run):
    Run.objects.filter(pk=train_run.pk).update(max_attempts=2)
    assert run_it(train_run, "--die-at", "3") == "queued"
    assert run_it(train_run, "--die-at", "3") == "failed"
    train_run.refresh_from_db()
    assert "killed by SIGKILL in attempt 2 of 2" in train_run.error


def test_a_failed_engine_shows_its_own_last_sentence(train_run):
    assert run_it(train_run, "--fail", "The dataset holds nothing to train on.") == "failed"
    train_run.refresh_from_db()
    assert train_run.error == "The dataset holds nothing to train on."


def test_a_supervisor_killed_outright_is_reaped_and_the_run_finishes(train_run, other_process_env):
    command = [sys.executable, "-m", "tests.training.supervisor_process", str(train_run.pk)]
    engine = [*FAKE, "--steps", "400", "--pause", "0.05"]
    doomed = subprocess.Popen([*command, *engine], cwd=ROOT, env=other_process_env)
    wait_for(lambda: len(losses(train_run)) >= 6)
    doomed.kill()
    doomed.wait()
    assert reap()["resumed"] == 0, "the lease has not run out yet"
    Run.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert reap()["resumed"] == 1
    assert reap()["resumed"] == 0
    assert run_it(train_run, "--steps", "12") == "done"
    train_run.refresh_from_db()
    assert train_run.attempt == 2
    steps = losses(train_run)
    assert len(steps) == len(set(steps))
    assert set(range(1, 13)) <= set(steps)
    assert command_line_of_engines(train_run) == []


def test_an_abandoned_run_out_of_attempts_fails_with_a_sentence(train_run):
    train_run.claim("gone")
    Run.objects.update(lease_until=timezone.now() - timedelta(seconds=1), attempt=5)
    assert reap()["failed"] == 1
    train_run.refresh_from_db()
    assert "vanished 5 times" in train_run.error


def test_cancelling_keeps_a_checkpoint_and_leaves_no_process(train_run):
    def cancel_soon():
        wait_for(lambda: len(losses(train_run)) >= 3)
        request_cancel(Run.objects.get(pk=train_run.pk))

    with in_thread(cancel_soon):
        assert run_it(train_run, "--steps", "2000", "--child") == "cancelled"
    assert train_run.checkpoints.exists()
    train_run.refresh_from_db()
    child = int((Path(train_run.folder) / "child.pid").read_text())
    wait_for(lambda: "sleep" not in command_line(child))
    assert command_line_of_engines(train_run) == []


def test_an_engine_deaf_to_the_polite_signal_is_killed(train_run, monkeypatch):
    monkeypatch.setattr(supervising, "GRACE_ON_CANCEL", 0.5)

    def cancel_soon():
        wait_for(lambda: len(losses(train_run)) >= 3)
        request_cancel(Run.objects.get(pk=train_run.pk))

    with in_thread(cancel_soon):
        assert run_it(train_run, "--steps", "2000", "--deaf") == "cancelled"
    assert command_line_of_engines(train_run) == []


def test_a_waiting_run_is_cancelled_at_once(train_run):
    assert request_cancel(train_run)
    train_run.refresh_from_db()
    assert train_run.status == "cancelled"
    assert run_it(train_run) == ""


def test_a_worker_that_goes_down_leaves_the_run_to_another(train_run):
    def go_down():
        wait_for(lambda: len(losses(train_run)) >= 3)
        supervising.GOING_DOWN.set()

    with in_thread(go_down):
        assert run_it(train_run, "--steps", "30", "--pause", "0.1") == "queued"
    assert command_line_of_engines(train_run) == []
    supervising.GOING_DOWN.clear()
    assert run_it(train_run, "--steps", "30", "--pause", "0") == "done"
    assert losses(train_run) == list(range(1, 31))
    train_run.refresh_from_db()
    assert (train_run.attempt, train_run.max_attempts) == (2, 6)


def test_who_lost_the_lease_stops_without_a_word(train_run, monkeypatch):
    monkeypatch.setattr(supervising, "RENEW_EVERY", 0.1)

    def steal():
        wait_for(lambda: len(losses(train_run)) >= 3)
        Run.objects.filter(pk=train_run.pk).update(lease_owner="thief")

    with in_thread(steal):
        assert run_it(train_run, "--steps", "2000") == "running"
    train_run.refresh_from_db()
    assert train_run.lease_owner == "thief"
    assert command_line_of_engines(train_run) == []


def test_sigterm_to_a_run_in_this_process_leaves_it_resumable(train_run, other_process_env):
    """`manage.py launch --here` and a worker share this path."""
    code = (
        "import django; django.setup()\n"
        "import signal, sys\n"
        "from training.runs import supervise as s\n"
        "signal.signal(signal.SIGTERM, lambda *_: s.GOING_DOWN.set())\n"
        "s.supervise(int(sys.argv[1]), 'polite', command=sys.argv[2:], poll=0.05, enqueue=False)"
    )
    command = [sys.executable, "-c", code, str(train_run.pk), *FAKE, "--steps", "2000"]
    worker = subprocess.Popen(command, cwd=ROOT, env=other_process_env)
    wait_for(lambda: len(losses(train_run)) >= 3)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    train_run.refresh_from_db()
    assert train_run.status == "queued"
    assert list(Path(train_run.folder).glob("checkpoints/step-*/manifest.json"))
    assert command_line_of_engines(train_run) == []


def test_a_dataset_that_is_gone_fails_the_run_with_its_name(project, version, student):
    run = launch(project, "train", method="sft", dataset=version, student=student, enqueue=False)
    os.remove(version.file)
    assert run_it(run) == "failed"
    run.refresh_from_db()
    assert "dataset.jsonl" in run.error


def test_a_database_that_drops_every_connection_costs_nothing(train_run):
    def drop():
        for count in (3, 8):
            wait_for(lambda count=count: len(losses(train_run)) >= count)
            with connection.cursor() as cursor:
                cursor.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and pid <> pg_backend_pid()"
                )

    try:
        with in_thread(drop):
            assert run_it(train_run, "--steps", "120", "--pause", "0.05") == "done"
    finally:  # the other tests need connections that live
        connection.close()
        connection.close_pool()
    assert losses(train_run) == list(range(1, 121))
    train_run.refresh_from_db()
    assert train_run.attempt == 1


def test_a_connection_dropped_after_the_last_word_costs_nothing(train_run, monkeypatch):
    """Nobody finds out before the worker notes that it is free again."""
    note_running = supervising.workers.note_running
    drops = iter([drop_own_connection])

    def dropped_once(owner: str, run: Run | None) -> None:
        if run is None:
            next(drops, int)()
        note_running(owner, run)

    monkeypatch.setattr(supervising.workers, "note_running", dropped_once)
    try:
        assert run_it(train_run) == "done"
    finally:
        connection.close()
        connection.close_pool()
    assert next(drops, None) is None


@pytest.mark.parametrize("when", ["the last rows are read", "the run is ended"])
def test_a_connection_dropped_after_the_engine_has_ended_costs_nothing(
    train_run, monkeypatch, when
):
    """Before, the run was given back to the queue and its end found once more."""
    owner, name = {
        "the last rows are read": (supervising.ReadBack, "read"),
        "the run is ended": (supervising.Attempt, "finish_well"),
    }[when]
    deed, drops = getattr(owner, name), iter([drop_own_connection])

    def dropped_once(it, *args) -> None:
        folder = args[0] if args else it.folder
        if (folder.path / "result.json").exists():
            next(drops, int)()
        deed(it, *args)

    monkeypatch.setattr(owner, name, dropped_once)
    try:
        assert run_it(train_run) == "done"
    finally:
        connection.close()
        connection.close_pool()
    train_run.refresh_from_db()
    assert (train_run.attempt, next(drops, None)) == (1, None)


def drop_own_connection() -> None:
    with suppress(OperationalError), connection.cursor() as cursor:
        cursor.execute("select pg_terminate_backend(pg_backend_pid())")


def test_another_host_goes_on_from_what_the_store_holds(train_run, settings, monkeypatch, tmp_path):
    """With a store that is no folder, the files of a dead host are found there."""
    settings.ARTIFACTS_URL = "memory://stillroom"
    monkeypatch.setenv("STILLROOM_VAR", str(tmp_path / "one host"))
    assert run_it(train_run, "--die-at", "7") == "queued"
    monkeypatch.setenv("STILLROOM_VAR", str(tmp_path / "another host"))
    assert run_it(train_run, "--die-at", "7") == "done"
    train_run.refresh_from_db()
    assert train_run.folder.startswith("memory://stillroom/")
    assert losses(train_run) == list(range(1, 11))
    model = train_run.checkpoints.first().model
    store, path = fsspec.core.url_to_fs(model.uri)
    assert store.exists(f"{path}/model.safetensors")
    rows = store.cat_file(f"{train_run.folder}/metrics.jsonl").splitlines()
    assert len(rows) == 7 + 5, "six and seven were taken twice"
    left = [path for path in (tmp_path / "another host" / "work").rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["host-id"], "the store has it all"


class in_thread:
    """Do something beside the supervisor; its own connection is closed at the end."""

    def __init__(self, deed):
        self.thread = threading.Thread(target=self.perform, args=(deed,))

    def perform(self, deed):
        from django.db import connections

        try:
            deed()
        finally:
            connections.close_all()

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *exc):
        self.thread.join()


def command_line_of_engines(run: Run) -> list[str]:
    """The engines that work in the run's folder now."""
    folder = Run.objects.get(pk=run.pk).folder
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [line for line in map(command_line, pids) if f"{folder}/run.json" in line]
