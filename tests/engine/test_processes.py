"""Two processes train what one would: the same draws, the same gradients, the same files."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.engine.jobs import DRAWN, STORED, distance, metrics, run, start, weights, write_job
from training.engine.files import read_rows
from training.engine.processes import tell_first_cause
from training.engine.ranks import AT_ONCE, parts_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[str, Path]:
    """Each method's run in one process."""
    folder = tmp_path_factory.mktemp("alone")
    return {
        "sft": run(write_job(folder / "sft", "sft", STORED)),
        "grpo": run(write_job(folder / "grpo", "grpo", DRAWN)),
    }


@pytest.mark.parametrize(
    ("method", "config", "shard"), [("sft", STORED, False), ("grpo", DRAWN, True)]
)
def test_two_processes_train_what_one_does(tmp_path, alone, method, config, shard):
    settings = {**config, "shard_weights": shard}
    folder = run(write_job(tmp_path / "run", method, settings, processes=2))
    assert distance(folder, alone[method]) <= 1e-4
    ours, theirs = metrics(folder), metrics(alone[method])
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    for left, right in zip(ours, theirs, strict=True):
        assert left["loss"] == pytest.approx(right["loss"], rel=1e-3, abs=1e-5)
        assert left["grad_norm"] == pytest.approx(right["grad_norm"], rel=1e-3)
    assert json.loads((folder / "result.json").read_text())["steps"] == len(ours)
    assert first_round(folder) == first_round(alone[method])


def first_round(folder: Path) -> dict[tuple[str, int], list[int]]:
    """What was drawn before the weights moved; nothing where nothing is drawn."""
    rows = read_rows(folder / "samples.jsonl")
    return {(r["question"], r["index"]): r["token_ids"] for r in rows if r["round"] == 0}


def test_stopped_processes_save_and_go_on(tmp_path):
    config = {**STORED, "epochs": 12, "shard_weights": True, "checkpoint_every": 1000}
    undisturbed = run(write_job(tmp_path / "undisturbed", "sft", config, processes=2))
    job = write_job(tmp_path / "stopped", "sft", config, processes=2)
    process = start(job)
    while process.poll() is None and not (job.parent / "metrics.jsonl").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75, said
    assert 0 < len(metrics(job.parent)) < 36
    run(job)
    assert [row["step"] for row in metrics(job.parent)] == list(range(1, 37))
    ours, theirs = weights(job.parent), weights(undisturbed)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_fewer_groups_than_processes_are_trained_on_all_the_same(tmp_path):
    config = {**STORED, "epochs": 1, "groups_per_step": 1, "max_steps": 3}
    one = run(write_job(tmp_path / "one", "sft", config))
    two = run(write_job(tmp_path / "two", "sft", config, processes=2))
    assert distance(two, one) <= 1e-4


def test_stopped_or_left_alone_while_drawing_they_end_and_go_on(tmp_path, alone):
    job = write_job(tmp_path / "run", "grpo", DRAWN, processes=2)
    drawn = job.parent / "samples.jsonl"
    process = start(job)
    wait_until(drawn.exists)
    children = children_of(process.pid)
    process.kill()  # the two are left alone
    process.wait()
    assert len(children) == 2
    wait_until(lambda: not any(map(is_alive, children)))
    assert not (job.parent / "result.json").exists()
    stored = len(list(read_rows(drawn)))
    process = start(job)
    wait_until(lambda: len(list(read_rows(drawn))) > stored)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75, said
    assert not (job.parent / "result.json").exists()
    run(job)
    assert first_round(job.parent) == first_round(alone["grpo"])
    assert distance(job.parent, alone["grpo"]) <= 1e-3
    keys = [(row["round"], row["question"], row["index"]) for row in read_rows(drawn)]
    assert len(keys) == len(set(keys)) == 3 * 6 * 4


def test_a_stop_before_the_processes_can_listen_is_no_failure(tmp_path):
    process = start(write_job(tmp_path / "run", "sft", STORED, processes=2))
    wait_until(lambda: len(children_of(process.pid)) == 2)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75, said


def wait_until(reached: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_fault_in_every_process_is_one_sentence(tmp_path):
    job = write_job(tmp_path / "run", "sft", {"learning_rate": -1}, processes=2)
    run(job, code=2)
    assert "learning_rate" in json.loads((job.parent / "result.json").read_text())["error"]


def test_the_fault_of_one_process_is_told_and_not_what_it_did_to_the_others(tmp_path):
    said = {"result": "Connection closed by peer", "failure-1": "The disk is full."}
    for order in (["failure-1", "result"], ["failure-1"]):
        for number, name in enumerate(order):
            file = tmp_path / f"{name}.json"
            file.write_text(json.dumps({"error": said[name]}))
            os.utime(file, (number, number))
        tell_first_cause(tmp_path)
        assert json.loads((tmp_path / "result.json").read_text()) == {"error": "The disk is full."}
        assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_gradients_travel_in_parts_of_one_type():
    small = [torch.zeros(10) for _ in range(3)]
    assert [len(part) for part in parts_of([*small, torch.zeros(2).half()])] == [3, 1]
    large = torch.zeros(AT_ONCE)
    assert [len(part) for part in parts_of([small[0], large, small[1]])] == [2, 1]
