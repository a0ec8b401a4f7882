"""Whatever ends a process, whenever, and whoever else is there: the folder is one that a run goes
on from."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.jobs import ROOT, write_job
from tests.engine.shapes import make_model
from tests.engine.test_files import Tokenizer
from tests.engine.test_group import make_groups
from training.engine import checkpoint, files
from training.engine.__main__ import main
from training.engine.dataset import alone, open_dataset
from training.engine.job import BadJob, read_job
from training.engine.processes import code_of
from training.engine.ranks import Ranks
from training.engine.stop import Stop, Stopped
from training.engine.update import Update, whole_state
from training.methods import sft


class Killed(BaseException):
    """As by a signal that nobody can handle."""


class Disk:
    """Changes of the disk, of which the last one ends the process."""

    def __init__(self, changes: int) -> None:
        self.left = changes

    def dying(self, plain: Callable[..., Any], half: Callable[..., Any] | None = None) -> Any:
        """`plain`, until no change is left; it is then done in half, or not at all."""

        def change(*args: Any, **more: Any) -> Any:
            self.left -= 1
            if self.left:
                return plain(*args, **more)
            if half:
                half(*args)
            raise Killed

        return change


def half_removed(folder: Path) -> None:
    """A folder without its first file."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file())[:1]:
        path.unlink()


def killed_everywhere(monkeypatch: Any, work: Callable[[], Any]) -> Iterator[int]:
    """Do the work again and again, killed at its first, second … change of the disk, until it
    ends. Yields the change after each death."""
    for changes in range(1, 100):
        disk = Disk(changes)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", disk.dying(os.fsync))
            patch.setattr(Path, "replace", disk.dying(Path.replace))
            patch.setattr(Path, "rename", disk.dying(Path.rename))
            patch.setattr(shutil, "rmtree", disk.dying(shutil.rmtree, half_removed))
            try:
                work()
            except Killed:
                pass
            else:
                return
        yield changes


@pytest.fixture(scope="module")
def trained() -> tuple[Any, dict[str, Any]]:
    """A model after a step, and its optimizer's state."""
    update = Update(make_model("llama"), sft, sft.Config(), Ranks())
    update.step(make_groups(), 1e-2)
    return update.policy.model, whole_state(update)[1]


def test_killed_at_any_moment_a_checkpoint_is_whole_or_absent(tmp_path, monkeypatch, trained):
    model, optimizer = trained
    checkpoint.save(tmp_path, 1, model, Tokenizer(), optimizer)

    def save_second() -> None:
        checkpoint.save(tmp_path, 2, model, Tokenizer(), optimizer)
        checkpoint.forget_old(tmp_path, keep=1)

    deaths = 0
    for change in killed_everywhere(monkeypatch, save_second):
        deaths = change
        found = checkpoint.newest(tmp_path)  # raises if it is there and damaged
        assert found is not None
        assert found.step in (1, 2)
        assert files.damage(found.path) is None
        if found.step == 2:  # begin anew
            shutil.rmtree(found.path)
            shutil.rmtree(tmp_path / checkpoint.name_of(1), ignore_errors=True)
            checkpoint.save(tmp_path, 1, model, Tokenizer(), optimizer)
    assert deaths > 8
    assert [path.name for path in tmp_path.iterdir()] == ["step-000002"]


def test_killed_at_any_moment_rows_are_cut_back_or_as_they_were(tmp_path, monkeypatch):
    file = tmp_path / "metrics.jsonl"
    before = [{"step": 1}, {"step": 2}, {"step": 3}]
    files.append_rows(file, before)
    deaths = 0
    for change in killed_everywhere(
        monkeypatch, lambda: files.keep_rows(file, lambda row: row["step"] < 3)
    ):
        deaths = change
        assert list(files.read_rows(file)) in (before, before[:2])
        file.unlink()
        files.append_rows(file, before)
    assert deaths == 2
    assert list(files.read_rows(file)) == before[:2]


def test_a_row_cut_off_at_any_byte_is_written_anew(tmp_path):
    file = tmp_path / "samples.jsonl"
    first, second = {"index": 0, "text": "ä\n"}, {"index": 1, "text": "{}"}
    files.append_rows(file, [first, second])
    whole = file.read_bytes()
    for end in range(len(whole) + 1):
        file.write_bytes(whole[:end])
        kept = files.keep_rows(file, lambda row: True)
        files.append_rows(file, [first, second][len(kept) :])
        assert file.read_bytes() == whole


# --- Others in the folder -------------------------------------------------------------------------


def test_a_folder_is_one_engines_at_a_time(tmp_path, capfd, monkeypatch):
    job = write_job(tmp_path / "run", "sft", {})
    monkeypatch.setattr("training.engine.__main__.alone", lambda *args: alone(*args, patience=0))
    with alone(job.parent, Stop(), patience=0):
        assert main([str(job)]) == 75
    assert capfd.readouterr().err.startswith("Another process works in this folder")
    assert sorted(path.name for path in job.parent.iterdir()) == ["dataset.jsonl", "run.json"]
    with alone(job.parent, Stop(), patience=0):
        pass  # nobody holds it any more


def test_an_engine_that_ends_is_waited_for(tmp_path):
    ready = tmp_path / "ready"
    code = (
        "import sys, time; from pathlib import Path\n"
        "from training.engine.dataset import alone; from training.engine.stop import Stop\n"
        "with alone(Path(sys.argv[1]), Stop()): Path(sys.argv[2]).touch(); time.sleep(30)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(ready)], cwd=ROOT)
    while not ready.exists():
        assert other.poll() is None
    with pytest.raises(Stopped), alone(tmp_path, Stop(), patience=0):
        pass
    other.send_signal(signal.SIGKILL)
    with alone(tmp_path, Stop(), patience=20):
        other.wait()


def test_a_stop_ends_the_waiting(tmp_path):
    stop = Stop()
    stop.signalled = True
    with alone(tmp_path, Stop()), pytest.raises(Stopped), alone(tmp_path, stop):
        pass


def test_a_process_that_finds_the_job_noted_does_not_note_it_again(tmp_path):
    job = write_job(tmp_path / "run", "sft", {})
    open_dataset(read_job(job), job.parent)
    before = (job.parent / "state.json").stat()
    open_dataset(read_job(job), job.parent)
    assert (job.parent / "state.json").stat().st_ino == before.st_ino


def test_a_process_that_was_killed_is_what_ended_the_job():
    assert code_of([1, -9]) == -9  # the first fails because the second is gone
    assert code_of([None, 1]) == 1
    assert code_of([75, 75]) == 75
    assert code_of([0, 0]) == 0
    code = "from training.engine.processes import end_as; end_as(-9)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT)
    assert ended.returncode == -signal.SIGKILL


# --- What cannot be read --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("dataset.jsonl", '{"question": "Café"}\n'.encode("latin-1"), "is not UTF-8"),
        ("dataset.jsonl", b"[" * 100_000 + b"\n", "Line 1 of the dataset is not JSON"),
        ("dataset.parquet", b"PAR1 and no more", "cannot be read as parquet"),
    ],
)
def test_a_dataset_of_noise_is_refused_in_a_sentence(tmp_path, name, content, said):
    job = write_job(tmp_path / "run", "sft", {})
    (job.parent / name).write_bytes(content)
    job.write_text(json.dumps({**json.loads(job.read_text()), "dataset": name}))
    with pytest.raises(BadJob, match=said):
        open_dataset(read_job(job), job.parent)
