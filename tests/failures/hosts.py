"""A message to a worker, as the web host sends it."""

from __future__ import annotations

from celery import current_app
from kombu import Connection

from training.models import Run
from training.tasks import supervise


def tell(run: Run, broker: str) -> None:
    with Connection(broker) as connection:
        current_app.send_task(supervise.name, [run.pk], queue=run.host_class, connection=connection)
