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
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from celery import current_app
from django.db import close_old_connections, connection
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.db.utils import OperationalError as DatabaseAway
from django.utils import timezone
from kombu import Connection
from kombu.exceptions import OperationalError

from training.models import HostClass, Rehearsal, Run, Worker

BEAT_EVERY = 5.0
UNHEARD = timedelta(seconds=60)
Queued = TypeVar("Queued", Run, Rehearsal)


@dataclass(frozen=True)
class Device:
    name: str
    memory_bytes: int | None
    used_bytes: int | None = None


def probe_device() -> Device:
    """The first GPU that nvidia-smi shows among the visible ones, or the CPU."""
    if shown := asked_of_gpu("name,memory.total,memory.used"):
        name, memory, used = shown.rsplit(",", 2)
        return Device(name.strip(), megabytes(memory), megabytes(used))
    return Device(f"CPU, {os.cpu_count()} cores", memory_of_host(), memory_used_of_host())


def memory_used(device: Device) -> int | None:
    """What is in use of the device's memory now, by whomever."""
    if device.name.startswith("CPU, "):
        return memory_used_of_host()
    return megabytes(asked_of_gpu("memory.used"))


def megabytes(shown: str) -> int | None:
    """nvidia-smi's number in bytes; a part of a card may say that it does not know."""
    return int(shown) * 1024**2 if shown.strip().isdigit() else None


def asked_of_gpu(fields: str) -> str:
    """nvidia-smi's line on the first visible GPU, "" if there is none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = ["-i", visible.split(",")[0]] if visible else []
    query = ["nvidia-smi", *chosen, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        shown = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        return shown.stdout.splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return ""


def memory_of_host() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def memory_used_of_host() -> int | None:
    """Memory that nothing new could have; known on Linux."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kilobytes = {name: int(rest.split()[0]) for name, rest in (x.split(":") for x in lines)}
        return (kilobytes["MemTotal"] - kilobytes["MemAvailable"]) * 1024
    except (OSError, ValueError, KeyError, IndexError):
        return None


def address_of_host() -> str:
    """The address under which this host reaches the database; "" where that is a socket."""
    host = connection.settings_dict["HOST"] or urlsplit(os.environ.get("BROKER_URL", "")).hostname
    if not host or host.startswith("/"):
        return ""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))  # nothing is sent
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def clock_ahead() -> float:
    """By how many seconds this host's clock is ahead of the database's; half a round trip off."""
    before = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        theirs: datetime = cursor.fetchone()[0]
    middle = before + (timezone.now() - before) / 2
    return (middle - theirs).total_seconds()


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
            "address": address_of_host(),
            "device": device.name,
            "memory_bytes": device.memory_bytes,
            "memory_used_bytes": device.used_bytes,
            "clock_ahead": clock_ahead(),
            "heartbeat_at": Now(),
            "running": None,
        },
    )


def beat(name: str, used_bytes: int | None = None) -> bool:
    """False if the row is gone: the database was set back, say."""
    state = {"heartbeat_at": Now(), "memory_used_bytes": used_bytes, "clock_ahead": clock_ahead()}
    return Worker.objects.filter(name=name).update(**state) == 1


def leave(name: str) -> None:
    Worker.objects.filter(name=name).delete()


def note_running(owner: str, run: Run | None) -> None:
    """What a worker does, for its page."""
    name = owner.split("/", 1)[0]
    Worker.objects.filter(name=name).update(running=run, heartbeat_at=Now())


class Heartbeat(threading.Thread):
    """Beats while the process lives, also while it has nothing to do."""

    def __init__(self, name: str, host_class: str) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.worker, self.host_class, self.ended = name, host_class, threading.Event()

    def run(self) -> None:
        device, known = probe_device(), False
        while True:
            try:
                known = known and beat(self.worker, memory_used(device))
                if not known:
                    appear(self.worker, self.host_class, device)
                    known = True
            except DatabaseAway:  # it comes back, or the next beat says so
                pass
            finally:
                close_old_connections()
            if self.ended.wait(BEAT_EVERY):
                return

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


def forgotten(waiting: QuerySet[Queued], queue: str) -> list[Queued]:
    """Those queued for a minute while their queue (the field of that name) is empty: the message
    was lost, and another is due."""
    old = waiting.filter(created_at__lt=Now() - UNHEARD)
    lengths = queue_lengths() if old.exists() else {}
    return [one for one in old.order_by("id") if lengths.get(getattr(one, queue)) == 0]


def length_of(connection: Connection, queue: str) -> int:
    """A queue that was never used, or is empty on Redis, is not there: 0."""
    try:
        return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
    except connection.channel_errors:
        return 0


def anyone_alive(host_class: str) -> bool:
    return any(worker.is_alive for worker in Worker.objects.filter(host_class=host_class))
