"""Everything on one machine: embedded services, migrations, the demo project, web and workers.

`make run` ends here. honcho supervises: when one process ends, or on Ctrl-C, all of them do.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from typing import Any

import honcho.manager
import psycopg
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections

from config import embedded

# A worker that trains gets this long to write a checkpoint before it is killed.
honcho.manager.KILL_WAIT = 30


class Command(BaseCommand):
    help = "Start everything on this machine: database, broker, web, a cpu and a gpu worker."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=int(os.environ.get("PORT") or 8000))
        parser.add_argument("--no-demo", action="store_true", help="Do not seed the demo project.")

    def handle(self, *args: Any, host: str, port: int, no_demo: bool, **options: Any) -> None:
        refuse_busy_port(host, port)
        refuse_unreachable_database()
        self.stdout.write("Preparing the database …")
        call_command("migrate", verbosity=0)
        if not no_demo:
            call_command("demo")
        logins = [] if no_demo else settings.DEMO_LOGINS
        forget_connections()

        manager = honcho.manager.Manager()
        for name, command in processes(host, port).items():
            manager.add_process(name, command, env=environment())
        threading.Thread(
            target=self.greet, args=(f"http://{host}:{port}/", logins), daemon=True
        ).start()
        manager.loop()
        # 130 is Ctrl-C, 143 a polite stop: both are what was asked for.
        sys.exit(0 if manager.returncode in {0, 130, 143} else manager.returncode)

    def greet(self, url: str, logins: list[tuple[str, str, str]]) -> None:
        wait_until_it_answers(f"{url}health/")
        lines = ["", f"  Stillroom is running at {url}", ""]
        if logins:
            lines.append("  The demo project's people (name / password):")
            lines += [f"    {role:<11} {name} / {password}" for name, password, role in logins]
        lines += ["", "  Ctrl-C ends everything.", ""]
        self.stdout.write("\n".join(lines))
        self.stdout.flush()


def processes(host: str, port: int) -> dict[str, str]:
    """Name → command line of everything that runs beside this process."""
    python = shlex.quote(sys.executable)
    commands = {
        "web": f"exec {python} -m gunicorn config.wsgi --bind {host}:{port} --worker-class gthread "
        "--workers 2 --threads 8 --timeout 60 --graceful-timeout 5 --log-level warning",
        # Whoever waits for a page comes before whatever runs in the background.
        "cpu": f"exec nice -n 10 {python} manage.py work --queue cpu --concurrency 2 --beat",
        "gpu": f"exec nice -n 10 {python} manage.py work --queue gpu",
    }
    if not os.environ.get("BROKER_URL"):
        redis = shlex.join(embedded.redis_command(embedded.var_folder()))
        commands = {"redis": f"exec {redis}", **commands}
    return commands


def environment() -> dict[str, str]:
    """The environment of the children: the services named, thread counts tamed."""
    return {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "BROKER_URL": os.environ.get("BROKER_URL") or embedded.broker_url(),
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def refuse_busy_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise CommandError(
                f"Port {port} on {host} cannot be used ({error}). "
                f"Choose another one: make run PORT={port + 1 if port < 65535 else 8000}."
            ) from error


def refuse_unreachable_database() -> None:
    parameters = connection.get_connection_params()
    wanted = {
        key: parameters[key]
        for key in ("dbname", "user", "password", "host", "port")
        if parameters.get(key)
    }
    try:
        psycopg.connect(**wanted, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        where = f"{wanted.get('host', 'the local socket')}, database {wanted.get('dbname')}"
        raise CommandError(
            f"The database does not answer ({where}): {str(error).splitlines()[0]}. "
            "Start it, mend DATABASE_URL, or unset DATABASE_URL to use the embedded PostgreSQL."
        ) from error


def forget_connections() -> None:
    """The children are forked: they must not inherit an open connection."""
    connections.close_all()
    connection.close_pool()  # type: ignore[attr-defined]


def wait_until_it_answers(url: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.2)
