"""The Celery application. Messages carry ids only; what is true is in PostgreSQL."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("stillroom")


def configure() -> None:
    from config.embedded import broker_url

    app.conf.update(
        broker_url=os.environ.get("BROKER_URL") or broker_url(),
        broker_connection_retry_on_startup=True,
        # A duplicate delivery is harmless (the lease decides), so tasks are acknowledged early.
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        task_ignore_result=True,
        task_default_queue="cpu",
        worker_hijack_root_logger=False,
        beat_schedule={
            "reap-abandoned-runs": {"task": "training.tasks.reap", "schedule": 15.0},
            "deliver-what-is-due": {
                "task": "training.tasks.deliver_due",
                "schedule": 15.0,
                "options": {"expires": 15.0},
            },
            "advance-experiments": {
                "task": "training.tasks.advance_experiments",
                "schedule": 5.0,
                "options": {"expires": 5.0},
            },
        },
    )
    app.autodiscover_tasks(["curation", "training"])


configure()
