"""Runs seen through in this process, without a broker: for the terminal, the demo and its seed.

The same supervisor as a worker's, in a thread for each run, so that several small runs share the
cores. The main thread shows how far they are and passes Ctrl-C on: what had begun stays queued and
goes on when the same command, or a worker, takes it up.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import structlog
from django.db import connection
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from training.models import Run, RunStatus
from training.runs import supervise, workers

POLL = 0.25


class Unfinished(Exception):
    """A run did not end well; the message names it and says why."""


def see_through(runs: Sequence[Run], console: Console, at_once: int = 0) -> None:
    """Supervise the runs to their ends, `at_once` of them at a time (0: one for each core).

    Raises `Unfinished` for the first that failed, was cancelled or was interrupted.
    """
    listen()
    with (
        bars(console) as progress,
        ThreadPoolExecutor(at_once or os.cpu_count() or 1) as pool,
    ):
        tasks = {run.pk: progress.add_task(title(run), total=None, count="") for run in runs}
        threads = [pool.submit(see_one_through, run.pk) for run in runs]
        while not all(thread.done() for thread in threads):
            time.sleep(POLL)
            show(progress, tasks)
        show(progress, tasks)
    refuse_unfinished(runs, threads)


def speak_only_of_trouble() -> None:
    """The bars tell how it goes; the log's lines would tear them."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def listen() -> None:
    """Ctrl-C and a polite stop end the engines after a checkpoint."""
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: supervise.GOING_DOWN.set())


def see_one_through(pk: int) -> None:
    """In a thread of its own: attempt after attempt, until the run is over."""
    status: str = RunStatus.QUEUED
    try:
        host = Run.objects.values_list("host_class", flat=True).get(pk=pk)
        owner = workers.owner_of("here:" + workers.worker_name(host), str(pk))
        while status == RunStatus.QUEUED and not supervise.GOING_DOWN.is_set():
            status = supervise.supervise(pk, owner, poll=POLL, enqueue=False)
    finally:
        connection.close()


def bars(console: Console) -> Progress:
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}")]
    return Progress(*columns, TimeElapsedColumn(), console=console)


def title(run: Run) -> str:
    return run.name or f"{run.kind} run {run.pk}"


def show(progress: Progress, tasks: dict[int, TaskID]) -> None:
    """Read how far each run is."""
    for run in Run.objects.filter(pk__in=tasks):
        done, total = run.progress.get("done", 0), run.progress.get("total")
        count = f"{done}/{total} {run.progress.get('unit', '')}" if total else run.status
        task = tasks[run.pk]
        if run.status == RunStatus.DONE and not progress.tasks[task].finished:
            progress.update(task, completed=total or 1, total=total or 1, count=count)
        elif not run.is_over:
            progress.update(task, completed=done, total=total, count=count)


def refuse_unfinished(runs: Sequence[Run], threads: Sequence[Future[None]]) -> None:
    for thread in threads:
        thread.result()
    for run in runs:
        run.refresh_from_db()
        if run.status != RunStatus.DONE:
            why = run.error or "It was interrupted; the same command goes on."
            raise Unfinished(f"{title(run)} (run {run.pk}) is {run.status}. {why}")
