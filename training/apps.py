from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig

if TYPE_CHECKING:
    from curation.agreement.utilities import Utility


class TrainingConfig(AppConfig):
    name = "training"
    verbose_name = "Training"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from curation import audit, funnel, onward, work
        from curation.agreement import utilities
        from curation.signals import rationales_stored
        from curation.text import stepping
        from training import stepping as arithmetic
        from training.funnel import last_run, runs, to_train, trained

        funnel.register(10, trained, to_train)
        work.register(runs, last_run())
        stepping.register(arithmetic.check)
        utilities.register(utilities_of)
        run_trail = audit.Trail("run", "Run", "training.Run", "project", lambda e: f"run {e.id}")
        audit.register(run_trail)
        preset = audit.Trail(
            "preset", "Preset", "training.Preset", "project", lambda e: f"preset {e.name}"
        )
        audit.register(preset)
        by_experiment = "experiment__project"
        for trail in (
            audit.Trail(
                "experiment", "Experiment", "training.Experiment", "project", lambda e: e.name
            ),
            audit.Trail(
                "iteration",
                "Iteration",
                "training.Iteration",
                by_experiment,
                lambda e: f"{e.experiment}, iteration {e.number}: {e.stage}",
                with_rows=("experiment",),
            ),
        ):
            audit.register(trail)
        for name, words, about in (
            ("webhook", "Webhook", lambda e: e.url),
            ("subscription", "E-mail", lambda e: ", ".join(e.told_of) or "nothing"),
        ):
            model = f"training.{name.title()}"
            audit.register(audit.Trail(name, words, model, "project", about))
        onward.register("What it reached", "rationale-lineage")
        rationales_stored.connect(score_what_was_stored, dispatch_uid="score-what-was-stored")


def utilities_of(rankings: Sequence[Mapping[int, int]]) -> dict[int, Utility]:
    """Plackett-Luce utilities for the pages of curation; numpy waits until somebody looks."""
    from curation.agreement.utilities import Utility
    from training.rewards.from_ranking import utilities_with_bounds

    return {pk: Utility(*bounds) for pk, bounds in utilities_with_bounds(rankings).items()}


def score_what_was_stored(sender: type, rationale_ids: list[int], **kwargs: Any) -> None:
    """Every rationale is scored as soon as it is there, whoever wrote it.

    What a run drew is scored at once: its supervisor works in the background already, and a
    version made right after the run has the scores. An import goes on and leaves it to a worker.
    """
    from curation.models import Rationale
    from training.runs.scoring import score, score_later

    (score if sender is Rationale else score_later)(rationale_ids)
