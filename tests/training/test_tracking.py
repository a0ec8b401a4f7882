"""Metrics reach the user's tracker once each, also when the run was killed and resumed."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.conftest import FAKE
from training.models import Run
from training.runs.launch import launch
from training.runs.supervise import supervise
from training.tracking import NoTracker, Reports, open_tracker, title

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reporting(project, version, student):
    def make(*trackers: str) -> Run:
        return launch(
            project,
            "train",
            method="sft",
            config={"report_to": list(trackers)},
            dataset=version,
            student=student,
            enqueue=False,
        )

    return make


def see_through(run: Run, *options: str) -> str:
    return supervise(run.pk, "tester", command=[*FAKE, *options], poll=0.05, enqueue=False)


def told(folder: Path) -> Counter[tuple[str, int]]:
    """How often TensorBoard's files have each number."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    found: Counter[tuple[str, int]] = Counter()
    for file in sorted(folder.glob("events.out.tfevents.*")):
        for event in LegacyEventFileLoader(str(file)).Load():
            found.update((value.tag, event.step) for value in event.summary.value)
    return found


def test_tensorboard_has_every_step_once_after_a_kill(reporting):
    run = reporting("tensorboard")
    assert see_through(run, "--die-at", "7") == "queued"
    assert see_through(run, "--die-at", "7") == "done"
    run.refresh_from_db()
    folder = Path(run.folder) / "tensorboard"
    assert len(list(folder.glob("events.*"))) == 2, "a file for each attempt"
    names = ("loss", "reward_mean")
    assert told(folder) == {(name, step): 1 for name in names for step in range(1, 11)}


def test_tensorboard_holds_the_numbers_themselves(reporting):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = reporting("tensorboard")
    assert see_through(run) == "done"
    run.refresh_from_db()
    events = EventAccumulator(str(Path(run.folder) / "tensorboard")).Reload()
    losses = {scalar.step: scalar.value for scalar in events.Scalars("loss")}
    assert losses == pytest.approx({step: 1 / step for step in range(1, 11)})


def test_a_tracker_that_is_not_installed_is_a_sentence(reporting, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "wandb", None)
    run = reporting("wandb")
    assert see_through(run) == "failed"
    run.refresh_from_db()
    assert run.error.startswith("report_to names wandb, which is not installed on this host")
    assert run.error.endswith("Install it there: pip install 'stillroom[wandb]'.")


def test_an_unknown_tracker_is_named(train_run, monkeypatch, tmp_path):
    monkeypatch.setenv("STILLROOM_REPORT_TO", "neptune")
    with pytest.raises(NoTracker, match="knows tensorboard, trackio, mlflow, wandb"):
        Reports.of(train_run, tmp_path)


def test_a_tracker_that_fails_does_not_end_the_run(tmp_path):
    class Broken:
        def last_step(self):
            return 0

        def tell(self, step, values):
            raise ConnectionError("the service is down")

        def close(self):
            raise ConnectionError("the service is still down")

    reports = Reports({"wandb": Broken()}, {"wandb": 0})
    reports.tell([{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.4}])
    reports.close()
    assert reports.told == {"wandb": 0}, "another attempt tells it"


@pytest.fixture
def others(monkeypatch, tmp_path):
    """The other trackers keep what they are told here, without a network."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")


@pytest.mark.parametrize("name", ["mlflow", "trackio", "wandb"])
def test_another_tracker_goes_on_where_it_was(name, reporting, others, tmp_path):
    """For who has it installed, without a network: it knows its last step, and finds its run."""
    pytest.importorskip(name)
    run = reporting(name)
    first = open_tracker(name, run, tmp_path)
    assert first.last_step() == 0
    first.tell(1, {"loss": 0.5})
    first.tell(2, {"loss": 0.25})
    first.close()
    if name != "wandb":  # offline, its files are not read back: the service drops old steps
        assert open_tracker(name, run, tmp_path).last_step() == 2


def losses_in_mlflow(run: Run) -> list[tuple[int, float]]:
    client = pytest.importorskip("mlflow.tracking").MlflowClient()
    (found,) = client.search_runs([client.get_experiment_by_name(run.project.slug).experiment_id])
    return [(m.step, m.value) for m in client.get_metric_history(found.info.run_id, "loss")]


def losses_in_trackio(run: Run) -> list[tuple[int, float]]:
    storage = pytest.importorskip("trackio.sqlite_storage").SQLiteStorage
    logs = storage.get_logs(run.project.slug, title(run))
    return [(row["step"], row["loss"]) for row in logs if "loss" in row]


def losses_in_wandb(run: Run) -> list[tuple[int, float]]:
    """Of its files; those of an attempt hold what that attempt told."""
    record = pytest.importorskip("wandb.proto.wandb_internal_pb2").Record()
    found = []
    for file in sorted(Path(run.folder).glob("wandb/offline-run-*/*.wandb")):
        for data in pieces(file.read_bytes()):
            record.ParseFromString(data)
            items = {item.key or item.nested_key[0]: item.value_json
                     for item in record.history.item}  # fmt: skip
            found += [(int(items["_step"]), float(items["loss"]))] if "loss" in items else []
    return found


def pieces(log: bytes, block: int = 32768) -> Iterator[bytes]:
    """The records of a LevelDB log: 7 bytes of the file's own, then checksum, length, kind."""
    at, whole = 7, b""
    while at + 7 <= len(log):
        if block - at % block < 7:
            at += block - at % block
        size, kind = struct.unpack_from("<HB", log, at + 4)
        whole += log[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""


IN = {"mlflow": losses_in_mlflow, "trackio": losses_in_trackio, "wandb": losses_in_wandb}


@pytest.mark.parametrize("name", list(IN))
def test_another_tracker_has_the_whole_run_after_a_kill(name, reporting, others):
    pytest.importorskip(name)
    run = reporting(name)
    assert see_through(run, "--die-at", "7") == "queued"
    assert see_through(run, "--die-at", "7") == "done"
    run.refresh_from_db()
    told = sorted(IN[name](run))
    if name == "wandb":  # offline there is nobody to ask; its service drops the steps it has
        told = sorted(set(told))
    assert told == [(step, pytest.approx(1 / step)) for step in range(1, 11)]
