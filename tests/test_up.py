"""`make run` itself: it starts, answers, and leaves no process behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def folder(tmp_path: Path):
    """A var folder that the embedded PostgreSQL's own user may enter."""
    folder = Path("/tmp") / f"stillroom-up-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def bare_environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a person who has set nothing."""
    unset = {"DATABASE_URL", "BROKER_URL", "ARTIFACTS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE"}
    kept = {key: value for key, value in os.environ.items() if key not in unset}
    return {**kept, "STILLROOM_VAR": str(folder), **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str, seconds: float, process: subprocess.Popen) -> int:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            return urllib.request.urlopen(url, timeout=5).status
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"{url} did not answer in {seconds} s")


def of_this_installation(folder: Path) -> list[psutil.Process]:
    """Every process that carries this var folder in its command line or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            text = " ".join(process.cmdline()) + str(process.environ().get("STILLROOM_VAR"))
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if str(folder) in text and process.pid != os.getpid():
            found.append(process)
    return found


def up(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "up", *arguments],
        cwd=ROOT,
        env=bare_environment(folder, **environment),
        capture_output=True,
        text=True,
        timeout=120,
    )


def read_until(stream, needle: str, seconds: float) -> str:
    """What the process printed, up to the line that says `needle`."""
    text, end = "", time.monotonic() + seconds
    while time.monotonic() < end and needle not in text:
        text += stream.readline()
    return text


@pytest.mark.slow
def test_make_run_starts_everything_and_ctrl_c_ends_everything(folder):
    port = free_port()
    process = subprocess.Popen(
        ["make", "run", f"PORT={port}"],
        cwd=ROOT,
        env=bare_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert answers(f"http://127.0.0.1:{port}/accounts/login/", 150, process) == 200
        assert process.stdout is not None
        printed = read_until(process.stdout, "Ctrl-C ends everything", 30)
        assert f"http://127.0.0.1:{port}/" in printed
        assert "rosa / stillroom-demo" in printed
        names = " ".join(" ".join(p.cmdline()) for p in of_this_installation(folder))
        for service in ("gunicorn", "redis-server", "postgres", "--queue cpu", "--queue gpu"):
            assert service in names
    finally:
        os.killpg(process.pid, signal.SIGINT)  # what a terminal's Ctrl-C does
        process.communicate(timeout=60)
    assert process.returncode in {0, -signal.SIGINT}  # make passes the signal on as its own end
    assert of_this_installation(folder) == []


def test_a_busy_port_is_named_with_a_way_out(folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = up(folder, "--port", str(port))
    assert ended.returncode != 0
    assert f"Port {port} on 127.0.0.1 cannot be used" in ended.stderr
    assert "make run PORT=" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_unwritable_folder_is_named(folder):
    ended = up(folder, STILLROOM_VAR="/proc/stillroom")
    assert ended.returncode != 0
    assert "/proc/stillroom cannot be written" in ended.stderr
    assert "STILLROOM_VAR" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_unreachable_database_is_named(folder):
    url = f"postgres://nobody@127.0.0.1:{free_port()}/nothing"
    ended = up(folder, "--port", str(free_port()), DATABASE_URL=url)
    assert ended.returncode != 0
    assert "The database does not answer" in ended.stderr
    assert "DATABASE_URL" in ended.stderr
    assert "Traceback" not in ended.stderr
