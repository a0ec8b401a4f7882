"""The Celery application. Messages carry ids only; what is true is in PostgreSQL."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("stillroom")
# The clock's own tasks go here, so that the length of `cpu` counts nothing but work.
CLOCK = "clock"


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
            "reap-abandoned-runs": every("training.tasks.reap", 15.0),
            "deliver-what-is-due": every("training.tasks.deliver_due", 15.0),
            "advance-experiments": every("training.tasks.advance_experiments", 5.0),
            "requeue-lost-jobs": every("curation.tasks.requeue_lost_jobs", 15.0),
            "tell-of-the-unscored": every("training.tasks.tell_of_the_unscored", 60.0),
            "index-words": every("curation.tasks.index_words", 20.0),
            "measure-stale-agreement": every("curation.tasks.measure_stale_agreement", 30.0),
            "sweep-uploads": every("curation.tasks.sweep_uploads", 6 * 3600.0),
        },
    )
    app.autodiscover_tasks(["curation", "training"])


def every(task: str, seconds: float) -> dict[str, object]:
    """A task of the clock; one that nobody took is worth nothing when the next one comes."""
    return {"task": task, "schedule": seconds, "options": {"queue": CLOCK, "expires": seconds}}


configure()
