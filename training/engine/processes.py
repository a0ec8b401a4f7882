"""Several processes of one job on this machine, as `accelerate launch` would start them.

It differs in one thing: the exit code is the job's own. A launcher that turns 75 (stopped after
saving, run it again) into 1 would make a failure of every polite end.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from training.engine.stop import RESUMABLE, SUPERVISOR, Stop

RANK = "RANK"
GRACE = 20.0  # seconds that the others have to end after one has failed


def is_first() -> bool:
    """Whether this process writes the job's files: the only one, or the first of several."""
    return os.environ.get(RANK, "0") == "0"


def is_one_of_several() -> bool:
    """Whether a launcher has started this process."""
    return RANK in os.environ


def failure_file() -> str:
    """Where a process that is not the first one says why it failed."""
    return f"failure-{os.environ[RANK]}.json"


def run_in_processes(count: int, path: Path, stop: Stop) -> int:
    """Run `path` in so many processes and return the job's exit code (see `code_of`)."""
    port = str(free_port())
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    shared[SUPERVISOR] = str(os.getpid())  # none of them outlives this one
    if not Path("/dev/nvidiactl").exists():
        shared["ACCELERATE_USE_CPU"] = "true"
    command = [sys.executable, "-m", "training.engine", str(path)]
    (path.parent / "result.json").unlink(missing_ok=True)  # of an earlier attempt
    children = [
        subprocess.Popen(
            command, env={**os.environ, **shared, RANK: str(rank), "LOCAL_RANK": str(rank)}
        )
        for rank in range(count)
    ]
    try:
        return wait_for(children, stop)
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
        tell_first_cause(path.parent)


def tell_first_cause(folder: Path) -> None:
    """Where one process fails, the others fail of its absence: `result.json` says what came
    first."""
    failures = sorted(folder.glob("failure-*.json"), key=written_at)
    result = folder / "result.json"
    if failures and not (result.exists() and written_at(result) < written_at(failures[0])):
        failures[0].replace(result)
    for file in failures:
        file.unlink(missing_ok=True)


def written_at(file: Path) -> int:
    return file.stat().st_mtime_ns


def free_port() -> int:
    """A port that nobody listens on at present."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(children: Sequence[subprocess.Popen[bytes]], stop: Stop) -> int:
    """Until all have ended, or one has failed and the others had time to. A request to stop is
    handed on once."""
    told, deadline = False, float("inf")
    while any(child.poll() is None for child in children) and time.monotonic() < deadline:
        if stop.requested() and not told:
            told = True
            for child in children:
                child.terminate()
        failed = any(child.poll() not in (None, 0) for child in children)
        if failed and deadline == float("inf"):
            deadline = time.monotonic() + GRACE
        time.sleep(0.1)
    codes = [child.poll() for child in children]
    if told:  # one that ended by it could not listen yet, so it had not begun
        codes = [RESUMABLE if code == -signal.SIGTERM else code for code in codes]
    return code_of(codes)


def code_of(codes: Sequence[int | None]) -> int:
    """Of a signal that killed one, for the others fail of that alone; else the first one's, or a
    failed one's. None: it did not end by itself."""
    ended = [code for code in codes if code]
    killed = [code for code in ended if code < 0]
    return killed[0] if killed else codes[0] or (ended[0] if ended else 0)


def end_as(code: int) -> NoReturn:
    """End this process with the code; below 0, by the signal that ended one of its processes."""
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
