"""The cast of the tests: an owner, a researcher, two annotators, a viewer, a stranger."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest


@pytest.fixture
def shared_data() -> Path:
    """The real data beside the repository; tests that use it skip where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real data (../shared/data) is absent")
    return folder


@pytest.fixture
def project(db):
    from curation.models import Project

    return Project.objects.create(slug="orchard", name="Orchard")


@pytest.fixture
def member(project):
    """A function that makes a user with a role in the project (None: a stranger)."""
    from curation.models import Membership, User

    def make(username: str, role: str | None = None) -> User:
        user = User.objects.create_user(username, password="quince-and-medlar")
        if role:
            Membership.objects.create(project=project, user=user, role=role)
        return user

    return make


@pytest.fixture
def owner(member):
    return member("olga", "owner")


@pytest.fixture
def researcher(member):
    return member("rosa", "researcher")


@pytest.fixture
def annotator(member):
    return member("anna", "annotator")


@pytest.fixture
def second_annotator(member):
    return member("ben", "annotator")


@pytest.fixture
def viewer(member):
    return member("vera", "viewer")


@pytest.fixture
def stranger(member):
    return member("stan")


@pytest.fixture
def broker() -> Iterator[str]:
    """A Redis of the test's own; its URL."""
    from config.embedded import broker_url, redis_command

    with tempfile.TemporaryDirectory(prefix="stillroom-broker-") as folder:
        redis = subprocess.Popen(redis_command(Path(folder)), stdout=subprocess.DEVNULL)
        yield broker_url(Path(folder))
        redis.terminate()
        redis.wait(10)


@pytest.fixture
def other_process_env(transactional_db) -> dict[str, str]:
    """The environment of a process that works on the tests' database."""
    from django.db import connection

    url = urlsplit(os.environ["DATABASE_URL"])
    database = url._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    return {**os.environ, "DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "config.settings"}
