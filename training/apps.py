from typing import Any

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"
    verbose_name = "Training"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from curation.signals import rationales_stored

        rationales_stored.connect(score_what_was_stored, dispatch_uid="score-what-was-stored")


def score_what_was_stored(rationale_ids: list[int], **kwargs: Any) -> None:
    """Every rationale is scored as soon as it is there, whoever wrote it."""
    from training.scoring import score

    score(rationale_ids)
