"""An experiment: a start checkpoint and a plan, and its iterations, each with one place it stands.

The rows are the truth and `training/experiments/advance.py` the only hand that moves them. Where
an iteration stands is the pair (`stage`, `status`), and every change of it is a compare-and-swap.
"""

from __future__ import annotations

import uuid
from typing import Any

import pghistory
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse


class ExperimentStatus(models.TextChoices):
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    DONE = "done", "Done"
    STOPPED = "stopped", "Stopped"


class Stage(models.TextChoices):
    """What an iteration goes through, in this order. Iteration 0 has the last two alone."""

    SAMPLE = "sample", "Sample"
    SCORE = "score", "Score"
    ROUTE = "route", "Route"
    GATE = "gate", "Gate"
    COMPOSE = "compose", "Compose"
    TRAIN = "train", "Train"
    EVALUATE = "evaluate", "Evaluate"
    DECIDE = "decide", "Decide"


class StageStatus(models.TextChoices):
    HELD = "held", "Waits for “Go on”"
    READY = "ready", "Is next"
    WORKING = "working", "Under way"
    FAILED = "failed", "Failed"
    DONE = "done", "Done"


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class Experiment(models.Model):
    """What is to be repeated, from which model on. `plan` is an `ExperimentPlan`, resolved, whole.

    While `by_itself` is on, a stage that ends begins the next; else each waits for a person.
    `note` says in a sentence why it is paused, stopped or done.
    """

    project = models.ForeignKey(
        "curation.Project", on_delete=models.CASCADE, related_name="experiments"
    )
    name = models.CharField(max_length=80)
    start = models.ForeignKey(
        "curation.LanguageModel", on_delete=models.RESTRICT, related_name="experiments"
    )
    plan = models.JSONField(default=dict)
    by_itself = models.BooleanField(default=True)
    status = models.CharField(
        max_length=8, choices=ExperimentStatus.choices, default=ExperimentStatus.RUNNING
    )
    note = models.TextField(blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="an_experiment_is_named_once_in_a_project"
            ),
            models.CheckConstraint(
                condition=Q(status__in=ExperimentStatus.values),
                name="an_experiment_has_a_known_status",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("experiment", args=[self.project.slug, self.pk])

    @property
    def is_over(self) -> bool:
        return self.status in (ExperimentStatus.DONE, ExperimentStatus.STOPPED)

    def swap(self, status: str, *, frm: tuple[str, ...], **fields: Any) -> bool:
        """Compare-and-swap of the status; True for the one caller who changed it."""
        found = Experiment.objects.filter(pk=self.pk, status__in=frm)
        if found.update(status=status, **fields) != 1:
            return False
        self.refresh_from_db(fields=["status", *fields])
        return True


@pghistory.track(
    pghistory.InsertEvent(),
    pghistory.UpdateEvent(
        condition=pghistory.AnyChange("stage", "status", "opened_at", "opens_at", "opened_by")
    ),
    pghistory.DeleteEvent(),
    exclude=["figures", "told", "routed"],
)
class Iteration(models.Model):
    """One turn: the samples of checkpoint C(n-1), judged, become D(n), and D(n) makes C(n).

    Iteration 0 only evaluates the start, C(0). `checkpoint` is C(n), there once it is trained;
    `dataset` is D(n). `told` holds a sentence for each stage that has ended, `routed` which
    questions went to people and why, `figures` what the page draws. `batch` marks the rewards
    that were composed for it.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="iterations")
    number = models.PositiveSmallIntegerField()
    stage = models.CharField(max_length=8, choices=Stage.choices)
    status = models.CharField(max_length=7, choices=StageStatus.choices, default=StageStatus.READY)
    error = models.TextField(blank=True)
    batch = models.UUIDField(default=uuid.uuid4, editable=False)
    queue = models.ForeignKey(
        "curation.Queue", on_delete=models.SET_NULL, null=True, related_name="iterations"
    )
    routed = models.JSONField(default=list)
    opens_at = models.DateTimeField(null=True, help_text="The gate opens then at the latest.")
    opened_at = models.DateTimeField(null=True, help_text="When somebody opened the gate by hand.")
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    dataset = models.ForeignKey(
        "curation.DatasetVersion",
        on_delete=models.RESTRICT,
        null=True,
        related_name="iterations",
    )
    checkpoint = models.ForeignKey(
        "curation.LanguageModel",
        on_delete=models.RESTRICT,
        null=True,
        related_name="iterations",
    )
    told = models.JSONField(default=dict)
    figures = models.JSONField(default=dict)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(
                fields=["experiment", "number"], name="an_experiment_has_each_iteration_once"
            ),
            models.CheckConstraint(
                condition=Q(stage__in=Stage.values), name="an_iteration_has_a_known_stage"
            ),
            models.CheckConstraint(
                condition=Q(status__in=StageStatus.values), name="an_iteration_has_a_known_status"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.experiment}, iteration {self.number}"

    def swap(self, stage: str, status: str, **fields: Any) -> bool:
        """Compare-and-swap from where this row was read to (stage, status)."""
        found = Iteration.objects.filter(pk=self.pk, stage=self.stage, status=self.status)
        if found.update(stage=stage, status=status, **fields) != 1:
            return False
        self.refresh_from_db(fields=["stage", "status", *fields])
        return True


class IterationRun(models.Model):
    """The run that does a stage of an iteration. One that failed and was retried is superseded."""

    iteration = models.ForeignKey(Iteration, on_delete=models.CASCADE, related_name="stage_runs")
    stage = models.CharField(max_length=8, choices=Stage.choices)
    run = models.OneToOneField(
        "training.Run", on_delete=models.CASCADE, related_name="iteration_run"
    )
    reference = models.ForeignKey(
        "curation.LanguageModel",
        on_delete=models.RESTRICT,
        null=True,
        related_name="+",
        help_text="What the run is held to, where that is not its own student.",
    )
    superseded_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["iteration", "stage"],
                condition=Q(superseded_at=None),
                name="a_stage_has_one_run",
            )
        ]

    def __str__(self) -> str:
        return f"{self.stage} of {self.iteration}: run {self.run_id}"
