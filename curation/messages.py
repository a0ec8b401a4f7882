"""Messages to workers: sent now or not at all, for what they tell stands in the database."""

from __future__ import annotations

from typing import Any

import structlog
from celery import current_app
from kombu.exceptions import OperationalError

log = structlog.get_logger()


def send(task: str, argument: Any, queue: str) -> bool:
    """Put a task with its one argument into a queue; False, within two seconds, if the broker
    is away: nobody waits for it."""
    try:
        with current_app.connection_for_write(connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)
            current_app.send_task(
                task, args=[argument], queue=queue, connection=connection, retry=False
            )
    except OperationalError as error:
        log.warning("broker_away", task=task, argument=str(argument)[:60], error=str(error))
        return False
    return True
