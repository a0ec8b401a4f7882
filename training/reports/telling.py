"""A run in words: where it stands, how long it has taken and how long it may still take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from training.models import HostClass, Run, RunStatus
from training.runs.workers import anyone_alive

CHIPS = {
    RunStatus.QUEUED: "",
    RunStatus.RUNNING: "info",
    RunStatus.DONE: "ok",
    RunStatus.FAILED: "bad",
    RunStatus.CANCELLED: "warn",
}


@dataclass(frozen=True)
class Standing:
    """What a page shows of a run's progress."""

    sentence: str
    chip: str
    done: int
    total: int
    unit: str
    elapsed: timedelta | None
    remaining: timedelta | None


def standing(run: Run, look_for_workers: bool = False) -> Standing:
    progress = run.progress
    return Standing(
        sentence=sentence(run, look_for_workers),
        chip=CHIPS[RunStatus(run.status)],
        done=progress.get("done", 0),
        total=progress.get("total") or 0,
        unit=progress.get("unit", ""),
        elapsed=elapsed(run),
        remaining=remaining(run),
    )


def sentence(run: Run, look_for_workers: bool) -> str:
    if run.status == RunStatus.QUEUED:
        return waiting(run, look_for_workers)
    if run.status == RunStatus.RUNNING:
        again = f", attempt {run.attempt}" if run.attempt > 1 else ""
        if run.cancel_requested_at:
            return "Stopping: the engine saves a checkpoint first."
        where = run.lease_owner.split("/", 1)[0]
        return f"Running on {where}{again}: {run.progress.get('doing', 'preparing')}."
    if run.status == RunStatus.FAILED:
        return f"Failed in attempt {run.attempt}."
    if run.status == RunStatus.CANCELLED:
        return "Cancelled. What it had made by then is kept."
    return "Done." if run.attempt <= 1 else f"Done, in {run.attempt} attempts."


def waiting(run: Run, look_for_workers: bool) -> str:
    host = HostClass(run.host_class).label
    again = " to go on from its last checkpoint" if run.attempt else ""
    if look_for_workers and not anyone_alive(run.host_class):
        command = f"python manage.py work --queue {run.host_class}"
        return f"Waiting{again}, but no {host} is alive. Start one there with: {command}"
    return f"Waiting for a {host}{again}."


def elapsed(run: Run) -> timedelta | None:
    """From the first start to the end, or until now."""
    if run.started_at is None:
        return None
    end = run.finished_at or timezone.now()
    return whole(end - run.started_at)


def remaining(run: Run) -> timedelta | None:
    """By the pace of the present attempt; nothing before there is a pace."""
    progress = run.progress
    if run.status != RunStatus.RUNNING or not progress.get("total") or "since" not in progress:
        return None
    gone = progress["done"] - progress["from"]
    spent = timezone.now() - datetime.fromisoformat(progress["since"])
    if gone <= 0:
        return None
    return whole(spent / gone * (progress["total"] - progress["done"]))


def whole(span: timedelta) -> timedelta:
    return timedelta(seconds=max(0, round(span.total_seconds())))
