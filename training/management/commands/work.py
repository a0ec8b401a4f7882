"""A worker of one queue: `manage.py work --queue gpu` on a GPU host is all that such a host runs.

Its tasks are supervisors that wait for a subprocess, so they run in threads of this process: it
never loads torch, forks nothing, and on SIGTERM tells each supervisor to stop its engine politely
and to give its run back.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from celery import signals
from django.core.management.base import BaseCommand, CommandError

from config.celery import CLOCK, app
from training.models import HostClass
from training.runs import supervise, workers


class Command(BaseCommand):
    help = "Run a worker of one queue until Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--queue", choices=HostClass.values, required=True)
        parser.add_argument("--concurrency", type=int, default=1, help="Runs at a time.")
        parser.add_argument(
            "--beat", action="store_true", help="Also send the clock's tasks; one worker does."
        )

    def handle(self, *args: Any, queue: str, concurrency: int, beat: bool, **options: Any) -> None:
        if concurrency < 1:
            raise CommandError("--concurrency is 1 or more.")
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        name = workers.worker_name(queue)
        heartbeat = workers.Heartbeat(name, queue)
        listen(heartbeat)
        # A run that waits belongs to whichever host is free first, not to one that is busy.
        app.conf.worker_disable_prefetch = True
        clock = ["--beat", "--scheduler", "celery.beat:Scheduler"] if beat else []
        app.worker_main(
            [
                "--quiet",
                "worker",
                *("--queues", f"{queue},{CLOCK}" if queue == HostClass.CPU else queue),
                *("--hostname", f"{name.replace(':', '-')}@%h"),
                *("--pool", "threads"),
                *("--concurrency", str(concurrency)),
                *("--loglevel", "WARNING"),
                "--without-gossip",
                "--without-mingle",
                *clock,
            ]
        )


def listen(heartbeat: workers.Heartbeat) -> None:
    """Tie our life to Celery's: appear when it is ready, leave when it ends."""

    def ready(**kwargs: Any) -> None:
        heartbeat.start()
        print(f"{heartbeat.worker} takes runs of the queue {heartbeat.host_class}.", flush=True)

    def going_down(**kwargs: Any) -> None:
        supervise.GOING_DOWN.set()

    def gone(**kwargs: Any) -> None:
        if heartbeat.is_alive():
            heartbeat.end()

    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutting_down.connect(going_down, weak=False)
    signals.worker_shutdown.connect(gone, weak=False)
