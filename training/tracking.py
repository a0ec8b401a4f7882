"""A run's metrics in the user's own tracker too: `report_to` names it.

Stillroom keeps every metric itself; this is a copy for who looks elsewhere. The supervisor makes
it, on the host that trains, from the rows it stores. Each step is told once, also after a resume:
a tracker is asked for the last step that it has, and what is not later is left out. A step goes in
one piece, so a crash leaves it whole or absent.

    tensorboard   event files in the run's own folder, one for each attempt
    trackio       its local database, or the Space of TRACKIO_SPACE_ID
    mlflow        MLFLOW_TRACKING_URI, or a folder `mlruns`
    wandb         the account of WANDB_API_KEY; WANDB_MODE=offline writes files for `wandb sync`

Each is a package of its own, imported only when it is named: `pip install stillroom[NAME]`.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import structlog

from training.models import Run

log = structlog.get_logger()

NOT_TOLD = {"step", "round"}
Values = Mapping[str, float]


class NoTracker(ValueError):
    """A tracker that is named and cannot be had; the message is a sentence."""


class Tracker(Protocol):
    """One run in one tracker."""

    def last_step(self) -> int:
        """The latest step that it has of this run; 0 if none."""

    def tell(self, step: int, values: Values) -> None: ...

    def close(self) -> None: ...


@dataclass
class Reports:
    """What one attempt tells to the trackers of its run."""

    trackers: dict[str, Tracker] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, run: Run, folder: Path) -> Reports:
        """Raises `NoTracker`."""
        trackers = {name: open_tracker(name, run, folder) for name in names(run)}
        return cls(trackers, {name: tracker.last_step() for name, tracker in trackers.items()})

    def tell(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows of metrics.jsonl, each to every tracker that has not had it."""
        for row in rows:
            values = {key: float(value) for key, value in row.items() if is_metric(key, value)}
            for name, tracker in self.trackers.items():
                if values and row["step"] > self.told[name]:
                    self._tell_one(name, tracker, row["step"], values)

    def _tell_one(self, name: str, tracker: Tracker, step: int, values: Values) -> None:
        """Somebody else's service must not end a run: one that fails is left alone from here on,
        and another attempt tells it what it lacks."""
        if name in self.silent:
            return
        try:
            tracker.tell(step, values)
            self.told[name] = step
        except Exception as error:
            self.silent.add(name)
            log.warning("tracker_failed", tracker=name, step=step, error=str(error)[:200])

    def close(self) -> None:
        for name, tracker in self.trackers.items():
            try:
                tracker.close()
            except Exception as error:  # as above
                log.warning("tracker_failed", tracker=name, error=str(error)[:200])


def is_metric(name: str, value: Any) -> bool:
    return name not in NOT_TOLD and isinstance(value, int | float)


def names(run: Run) -> list[str]:
    """The run's own choice, else this host's: STILLROOM_REPORT_TO, separated by commas."""
    own = run.config.get("report_to") or []
    usual = os.environ.get("STILLROOM_REPORT_TO", "")
    listed = own or [name.strip() for name in usual.split(",") if name.strip()]
    return [] if run.kind != "train" else list(dict.fromkeys(listed))


def open_tracker(name: str, run: Run, folder: Path) -> Tracker:
    """Raises `NoTracker` if there is no such tracker, or its package is not here."""
    if name not in TRACKERS:
        known = ", ".join(TRACKERS)
        raise NoTracker(f"There is no tracker {name!r}; report_to knows {known}.")
    try:
        return TRACKERS[name](run, folder)
    except ImportError as error:
        raise NoTracker(
            f"report_to names {name}, which is not installed on this host ({error}). "
            f"Install it there: pip install 'stillroom[{name}]'."
        ) from error


def title(run: Run) -> str:
    return f"{run.name or run.method} · run {run.pk}"


class TensorBoard:
    """Events in `FOLDER/tensorboard`: a step is one record, a record is whole or skipped."""

    def __init__(self, run: Run, folder: Path) -> None:
        writer = importlib.import_module("tensorboard.summary.writer.event_file_writer")
        self.folder, self.attempt = folder / "tensorboard", run.attempt
        self.folder.mkdir(exist_ok=True)
        self.writer_class = writer.EventFileWriter
        self.writer: Any = None

    def last_step(self) -> int:
        return max((event.step for event in self._events()), default=0)

    def _events(self) -> Iterable[Any]:
        loader = importlib.import_module(
            "tensorboard.backend.event_processing.event_file_loader"
        ).LegacyEventFileLoader
        for file in sorted(self.folder.glob("events.out.tfevents.*")):
            yield from (event for event in loader(str(file)).Load() if event.HasField("summary"))

    def tell(self, step: int, values: Values) -> None:
        protos = importlib.import_module("tensorboard.compat.proto.event_pb2")
        summaries = importlib.import_module("tensorboard.compat.proto.summary_pb2")
        if self.writer is None:  # a file of its own: the last one may end in half a record
            suffix = f".attempt-{self.attempt}"
            self.writer = self.writer_class(str(self.folder), filename_suffix=suffix)
        parts = [
            summaries.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()
        ]
        summary = summaries.Summary(value=parts)
        self.writer.add_event(protos.Event(step=step, wall_time=time.time(), summary=summary))
        self.writer.flush()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


class Trackio:
    """A run of the project, by the Stillroom run's own name."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.project, self.name = run.project.slug, title(run)
        self.run = importlib.import_module("trackio").init(
            project=self.project,
            name=self.name,
            config=run.config,
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def last_step(self) -> int:
        storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
        logs = storage.get_logs(self.project, self.name) or []
        return max((int(row["step"]) for row in logs if row.get("step") is not None), default=0)

    def tell(self, step: int, values: Values) -> None:
        self.run.log(dict(values), step=step)

    def close(self) -> None:
        self.run.finish()


class MLflow:
    """A run of the experiment that bears the project's name, found again by a tag."""

    TAG = "stillroom.run"

    def __init__(self, run: Run, folder: Path) -> None:
        tracking = importlib.import_module("mlflow.tracking")
        self.entities = importlib.import_module("mlflow.entities")
        self.client = tracking.MlflowClient()
        name = run.project.slug
        known = self.client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self.client.create_experiment(name)
        mine = f"tags.`{self.TAG}` = '{run.batch}'"
        found = self.client.search_runs([experiment], filter_string=mine)
        tags = {self.TAG: str(run.batch), "mlflow.runName": title(run)}
        self.run = found[0] if found else self.client.create_run(experiment, tags=tags)

    def last_step(self) -> int:
        keys = self.client.get_run(self.run.info.run_id).data.metrics
        steps = (
            metric.step
            for key in keys
            for metric in self.client.get_metric_history(self.run.info.run_id, key)
        )
        return max(steps, default=0)

    def tell(self, step: int, values: Values) -> None:
        now = int(time.time() * 1000)
        metrics = [self.entities.Metric(key, value, now, step) for key, value in values.items()]
        self.client.log_batch(self.run.info.run_id, metrics=metrics, synchronous=True)

    def close(self) -> None:
        self.client.set_terminated(self.run.info.run_id)


class Wandb:
    """A run by an id of its own, resumed; wandb refuses steps that are not later by itself."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run = importlib.import_module("wandb").init(
            project=run.project.slug,
            id=str(run.batch),
            name=title(run),
            config=run.config,
            dir=str(folder),
            resume="allow",
        )

    def last_step(self) -> int:
        return int(self.run.step) - 1 if self.run.resumed else 0

    def tell(self, step: int, values: Values) -> None:
        self.run.log(dict(values), step=step, commit=True)

    def close(self) -> None:
        self.run.finish()


TRACKERS: dict[str, Any] = {
    "tensorboard": TensorBoard,
    "trackio": Trackio,
    "mlflow": MLflow,
    "wandb": Wandb,
}
