"""An experiment in words for its page: the rail of stages, where it waits and for what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from training.experiments.gate import Gate
from training.experiments.plan import ExperimentPlan
from training.experiments.samples import plan_of
from training.experiments.spending import Spent, spent_on
from training.experiments.steps import gate_of, stages_of
from training.models import (
    Experiment,
    ExperimentStatus,
    Iteration,
    IterationRun,
    Run,
    Stage,
    StageStatus,
)
from training.reports.telling import Standing, standing

CHIPS = {
    ExperimentStatus.RUNNING: "info",
    ExperimentStatus.PAUSED: "warn",
    ExperimentStatus.DONE: "ok",
    ExperimentStatus.STOPPED: "warn",
}
WORDS = {
    StageStatus.HELD: ("waits", "warn"),
    StageStatus.READY: ("next", "info"),
    StageStatus.WORKING: ("under way", "info"),
    StageStatus.FAILED: ("failed", "bad"),
    StageStatus.DONE: ("done", "ok"),
}


@dataclass(frozen=True)
class Place:
    """A stage on the rail: its state in a word, the sentence it ended with, its run."""

    stage: Stage
    word: str
    chip: str
    told: str
    run: Run | None = None
    progress: Standing | None = None
    is_here: bool = False


@dataclass(frozen=True)
class Turn:
    """An iteration with its rail."""

    iteration: Iteration
    rail: list[Place]
    gate: Gate | None = None
    spent: Spent = field(default_factory=Spent)
    by: dict[str, int] = field(default_factory=dict)


def turns(experiment: Experiment) -> list[Turn]:
    """Every iteration, the newest first. The same few queries for any number of them."""
    found = experiment.iterations.select_related("queue", "dataset", "checkpoint", "opened_by")
    linked = IterationRun.objects.filter(iteration__experiment=experiment)
    rows: dict[int, list[IterationRun]] = {}
    for row in linked.select_related("run__student").prefetch_related("run__attempts"):
        row.run.project = experiment.project
        rows.setdefault(row.iteration_id, []).append(row)
    made = []
    for iteration in found:
        iteration.experiment = experiment
        made.append(turn(iteration, rows.get(iteration.pk, [])))
    return made[::-1]


def turn(iteration: Iteration, rows: list[IterationRun]) -> Turn:
    runs = {row.stage: row.run for row in rows if row.superseded_at is None}
    stages = stages_of(plan_of(iteration), iteration.number)
    here = stages.index(Stage(iteration.stage))
    rail = [place(iteration, stage, n - here, runs.get(stage)) for n, stage in enumerate(stages)]
    gate = gate_of(iteration) if iteration.queue_id else None
    by: dict[str, int] = {}
    for row in iteration.routed:
        by[row["by"]] = by.get(row["by"], 0) + 1
    return Turn(iteration, rail, gate, spent_on([row.run for row in rows]), by)


def place(iteration: Iteration, stage: Stage, ahead: int, run: Run | None) -> Place:
    """`ahead`: how far the stage lies before (+) or behind (-) where the iteration stands."""
    told = iteration.told.get(stage, "")
    if ahead < 0:
        return Place(stage, "done", "ok", told, run)
    if ahead > 0:
        return Place(stage, "to come", "", "")
    word, chip = WORDS[StageStatus(iteration.status)]
    if stage == Stage.GATE and iteration.status == StageStatus.WORKING:
        word, told = "shut", gate_of(iteration).so_far
    going = run is not None and iteration.status == StageStatus.WORKING
    progress = standing(run, look_for_workers=True) if run and going else None
    over = iteration.status == StageStatus.DONE
    return Place(stage, word, chip, told, run, progress, is_here=not over)


def sentence(experiment: Experiment, last: Iteration | None) -> str:
    """Where it stands and what it waits for."""
    if experiment.note and experiment.status != ExperimentStatus.RUNNING:
        return experiment.note
    if last is None:
        return "Waits for a worker to begin."
    where = f"Iteration {last.number} of {experiment.plan['iterations']}"
    stage = Stage(last.stage)
    if last.status == StageStatus.READY and experiment.project.archived_at:
        return f"{where}: “{stage.label}” is next, and waits because the project is archived."
    if last.status == StageStatus.HELD:
        return f"{where}: “{stage.label}” waits for you."
    if stage == Stage.GATE and last.status == StageStatus.WORKING:
        return f"{where}: the gate waits for people; {gate_of(last).so_far}."
    return f"{where}: {stage.label.lower()}."


def choices(experiment: Experiment, last: Iteration | None) -> dict[str, bool]:
    """Which deeds a person may do now."""
    status = experiment.status
    failed = last is not None and last.status == StageStatus.FAILED
    held = last is not None and last.status == StageStatus.HELD
    more = last is not None and last.number < int(experiment.plan["iterations"])
    running = status == ExperimentStatus.RUNNING
    return {
        "go_on": (running and held)
        or (status == ExperimentStatus.PAUSED and not failed)
        or (status == ExperimentStatus.DONE and more),
        "pause": running,
        "retry": failed and not experiment.is_over,
        "stop": not experiment.is_over,
        "gate": running and last is not None and last.stage == Stage.GATE,
        "hand": not experiment.is_over,
    }


def plan_rows(plan: ExperimentPlan) -> list[dict[str, Any]]:
    """The plan for reading, and what of it somebody chose."""
    from training.forms.runs import shown

    rows = []
    for name, info in ExperimentPlan.model_fields.items():
        value = getattr(plan, name)
        default = info.get_default(call_default_factory=True)
        if name != "settings":
            row = {"name": name, "title": info.title or name, "value": str(shown(value))}
            rows.append({**row, "changed": value != default})
    return rows
