"""The clock's own tasks: they exist, and none of them stands in a queue of work."""

from __future__ import annotations

import pytest

from config.celery import CLOCK, app
from training.models import HostClass


@pytest.fixture(scope="module")
def entries():
    app.loader.import_default_modules()
    app.finalize()
    return list(app.conf.beat_schedule.values())


def test_every_task_of_the_clock_exists(entries):
    assert {entry["task"] for entry in entries} <= set(app.tasks)


def test_no_task_of_the_clock_lengthens_a_queue_of_work(entries):
    """The reaper tells of a lost message when the queue is empty; it must be able to be."""
    assert {entry["options"]["queue"] for entry in entries} == {CLOCK}
    assert CLOCK not in HostClass.values
    assert all(entry["options"]["expires"] == entry["schedule"] for entry in entries)
