"""What stands before a run: settings under a name, and a rehearsal of them."""

from __future__ import annotations

from datetime import timedelta

import pghistory
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from training.models.run import HostClass

SILENCE = timedelta(minutes=12)  # longer than a rehearsal may take


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class Preset(models.Model):
    """Settings of one kind and method that a project keeps under a name, for all who launch.

    `config` holds what somebody chose; what is not in it takes its default at the launch.
    """

    project = models.ForeignKey(
        "curation.Project", on_delete=models.CASCADE, related_name="presets"
    )
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=8)
    method = models.CharField(max_length=40, blank=True)
    config = models.JSONField(default=dict)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="a_preset_is_named_once_per_project"
            ),
            models.CheckConstraint(condition=~Q(name=""), name="a_preset_has_a_name"),
        ]

    def __str__(self) -> str:
        return self.name


class RehearsalStatus(models.TextChoices):
    QUEUED = "queued", "Waiting"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


class Rehearsal(models.Model):
    """A training run that is looked at before it begins: rows, masks, tokens, memory and time.

    What was asked stands in the same fields as a run's; `found` is the engine's `rehearsal.json`.
    Without `measured` the tokenizer alone is read, which any CPU host can do in seconds.
    """

    project = models.ForeignKey(
        "curation.Project", on_delete=models.CASCADE, related_name="rehearsals"
    )
    method = models.CharField(max_length=40)
    config = models.JSONField(default=dict)
    seed = models.BigIntegerField(default=0)
    dataset = models.ForeignKey("curation.DatasetVersion", on_delete=models.CASCADE)
    student = models.ForeignKey("curation.LanguageModel", on_delete=models.CASCADE)
    name = models.CharField(max_length=120, blank=True)
    host_class = models.CharField(max_length=3, choices=HostClass.choices, default=HostClass.GPU)
    measured = models.BooleanField(default=False)
    status = models.CharField(
        max_length=10, choices=RehearsalStatus.choices, default=RehearsalStatus.QUEUED
    )
    found = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=RehearsalStatus.values),
                name="a_rehearsal_has_a_known_status",
            )
        ]

    def __str__(self) -> str:
        return f"rehearsal {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("rehearsal", args=[self.project.slug, self.pk])

    @property
    def is_over(self) -> bool:
        return self.status in (RehearsalStatus.DONE, RehearsalStatus.FAILED)

    @property
    def queue(self) -> str:
        """Time and peak memory are those of the run's host; tokens are the same on any."""
        return self.host_class if self.measured else HostClass.CPU

    def claim(self) -> bool:
        """True for the one caller that does it; one that fell silent may be done again."""
        free = Q(status=RehearsalStatus.QUEUED) | Rehearsal.silent()
        found = Rehearsal.objects.filter(free, pk=self.pk)
        return found.update(status=RehearsalStatus.RUNNING, started_at=Now()) == 1

    @staticmethod
    def silent() -> Q:
        """Those whose worker must have gone, by the database's clock."""
        return Q(status=RehearsalStatus.RUNNING, started_at__lt=Now() - SILENCE)

    def end(self, status: str, **fields: object) -> bool:
        """Compare-and-swap from running to an end."""
        mine = Rehearsal.objects.filter(pk=self.pk, status=RehearsalStatus.RUNNING)
        return mine.update(status=status, finished_at=timezone.now(), **fields) == 1
