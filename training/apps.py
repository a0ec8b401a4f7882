from typing import Any

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"
    verbose_name = "Training"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from curation import funnel, work
        from curation.signals import rationales_stored
        from training.funnel import last_run, runs, to_train, trained

        funnel.register(10, trained, to_train)
        work.register(runs, last_run())
        rationales_stored.connect(score_what_was_stored, dispatch_uid="score-what-was-stored")


def score_what_was_stored(sender: type, rationale_ids: list[int], **kwargs: Any) -> None:
    """Every rationale is scored as soon as it is there, whoever wrote it.

    What a run drew is scored at once: its supervisor works in the background already, and a
    version made right after the run has the scores. An import goes on and leaves it to a worker.
    """
    from curation.models import Rationale
    from training.scoring import score, score_later

    (score if sender is Rationale else score_later)(rationale_ids)
