"""Who takes runs: a heartbeat per worker, the device it offers, what it does; and how long the
queues are. Nothing here imports torch.
"""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import threading
from dataclasses import dataclass

from celery import current_app
from django.db import close_old_connections
from django.db.utils import OperationalError as DatabaseAway
from django.utils import timezone
from kombu import Connection
from kombu.exceptions import OperationalError

from training.models import HostClass, Run, Worker

BEAT_EVERY = 5.0


@dataclass(frozen=True)
class Device:
    name: str
    memory_bytes: int | None


def probe_device() -> Device:
    """The first GPU that nvidia-smi shows among the visible ones, or the CPU."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = ["-i", visible.split(",")[0]] if visible else []
    query = [
        "nvidia-smi",
        *chosen,
        "--query-gpu=name,memory.total",
        "--format=csv,noheader,nounits",
    ]
    try:
        shown = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        name, memory = shown.stdout.splitlines()[0].rsplit(",", 1)
        return Device(name.strip(), int(memory) * 1024**2)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return Device(f"CPU, {os.cpu_count()} cores", memory_of_host())


def memory_of_host() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def worker_name(queue: str) -> str:
    """Host, queue and, where several workers share a host, its GPU."""
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    host = socket.gethostname() or platform.node()
    return f"{host}:{queue}" + (f":{gpu}" if gpu else "")


def owner_of(name: str, task: str = "") -> str:
    """Who holds a lease: the worker, its process, the delivery. Begins with the worker's name."""
    return f"{name}/{os.getpid()}/{task}"[:100]


def appear(name: str, host_class: str, device: Device) -> None:
    Worker.objects.update_or_create(
        name=name,
        defaults={
            "host_class": host_class,
            "device": device.name,
            "memory_bytes": device.memory_bytes,
            "heartbeat_at": timezone.now(),
            "running": None,
        },
    )


def beat(name: str) -> None:
    Worker.objects.filter(name=name).update(heartbeat_at=timezone.now())


def leave(name: str) -> None:
    Worker.objects.filter(name=name).delete()


def note_running(owner: str, run: Run | None) -> None:
    """What a worker does, for its page."""
    name = owner.split("/", 1)[0]
    Worker.objects.filter(name=name).update(running=run, heartbeat_at=timezone.now())


class Heartbeat(threading.Thread):
    """Beats while the process lives, also while it has nothing to do."""

    def __init__(self, name: str, host_class: str) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.worker, self.host_class, self.ended = name, host_class, threading.Event()

    def run(self) -> None:
        appear(self.worker, self.host_class, probe_device())
        while not self.ended.wait(BEAT_EVERY):
            try:
                beat(self.worker)
            except DatabaseAway:  # it comes back, or the next beat says so
                pass
            finally:
                close_old_connections()

    def end(self) -> None:
        self.ended.set()
        self.join(timeout=BEAT_EVERY)
        leave(self.worker)


def queue_lengths() -> dict[str, int]:
    """Messages that wait in each queue; empty if the broker does not answer."""
    try:
        with current_app.connection_for_read(connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)
            return {queue: length_of(connection, queue) for queue in HostClass.values}
    except (OperationalError, OSError):
        return {}


def length_of(connection: Connection, queue: str) -> int:
    """A queue that was never used, or is empty on Redis, is not there: 0."""
    try:
        return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
    except connection.channel_errors:
        return 0


def anyone_alive(host_class: str) -> bool:
    return any(worker.is_alive for worker in Worker.objects.filter(host_class=host_class))
