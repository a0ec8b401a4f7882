"""The engine as a process group of its own: started, stopped politely, killed whole.

Its environment is named variable by variable, so that neither the database's address nor the
secret key ever reaches it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

PASSED = {
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "EMBEDDING_MODEL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
}
PASSED_FAMILIES = ("LC_", "CUDA_", "NVIDIA_", "NCCL_", "TORCH_", "HF_", "TRANSFORMERS_", "AWS_")
PID_FILE = "engine.pid"
KEEPER = Path(__file__).with_name("keeper.py")


def environment(threads: int, key_variable: str = "") -> dict[str, str]:
    """What the engine may know. `key_variable` names the one endpoint key that it needs."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED or name.startswith(PASSED_FAMILIES)
    }
    if key_variable in os.environ:
        passed[key_variable] = os.environ[key_variable]
    return {
        **passed,
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(settings.BASE_DIR),
        "STILLROOM_SUPERVISOR_PID": str(os.getpid()),
        "STILLROOM_KEEPER_GRACE": os.environ.get("STILLROOM_KEEPER_GRACE", ""),
    }


def start(folder: Path, command: Sequence[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start `command FOLDER/run.json` under a keeper, in a new session; its output goes to log.txt.

    The keeper's standard input is our end of the pipe by which it knows that we live.
    """
    end_predecessor(folder)
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", str(KEEPER), *command, str(folder / "run.json")],
            cwd=settings.BASE_DIR,
            env=env,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    facts = {"host": socket.gethostname(), "pid": process.pid}
    (folder / PID_FILE).write_text(json.dumps(facts))
    return process


def engine_command() -> list[str]:
    return [sys.executable, "-m", "training.engine"]


def signal_group(pid: int, number: int) -> None:
    """Signal the whole group; that it is gone already is no fault."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def kill(process: subprocess.Popen[bytes]) -> int:
    """Kill whatever of the group is left, grandchildren too."""
    signal_group(process.pid, signal.SIGKILL)
    if process.stdin:
        process.stdin.close()
    return process.wait()


def end_predecessor(folder: Path) -> None:
    """Kill an engine that a dead supervisor left at work in this folder, on this host."""
    try:
        facts = json.loads((folder / PID_FILE).read_text())
    except (FileNotFoundError, ValueError):
        return
    if facts["host"] == socket.gethostname() and str(folder) in command_line(facts["pid"]):
        signal_group(facts["pid"], signal.SIGKILL)
        wait_until_gone(facts["pid"], str(folder))


def wait_until_gone(pid: int, mark: str, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while mark in command_line(pid) and time.monotonic() < end:
        time.sleep(0.05)


def command_line(pid: int) -> str:
    """The command of a process, "" if there is none: a number may have been given anew."""
    listed = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self").exists():
        with contextlib.suppress(OSError):
            return listed.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        return ""
    shown = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True
    )
    return shown.stdout.strip()
