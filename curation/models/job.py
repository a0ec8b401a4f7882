"""Imports, exports and deeds on many rows: in the background, with progress and a report."""

from __future__ import annotations

import uuid

import pghistory
from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.urls import reverse


class JobKind(models.TextChoices):
    IMPORT = "import", "Import"
    EXPORT = "export", "Export"
    BULK = "bulk", "Bulk deed"


class JobStatus(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


@pghistory.track(
    pghistory.InsertEvent(),
    pghistory.UpdateEvent(condition=pghistory.AnyChange("status")),
    pghistory.DeleteEvent(),
    exclude=["report", "done", "total", "heartbeat_at"],
)
class Job(models.Model):
    """`params` is what was asked; `report` what came of it: counts, and left_out rows with reasons.

    `batch` marks every row that the job wrote.
    """

    project = models.ForeignKey("curation.Project", on_delete=models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=6, choices=JobKind.choices)
    status = models.CharField(max_length=10, choices=JobStatus.choices, default=JobStatus.QUEUED)
    batch = models.UUIDField(default=uuid.uuid4, editable=False)
    params = models.JSONField(default=dict)
    report = models.JSONField(default=dict)
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(null=True)
    file = models.CharField(max_length=1000, blank=True)
    error = models.TextField(blank=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=JobStatus.values), name="a_job_has_a_known_status"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("job", args=[self.project.slug, self.pk])

    @property
    def title(self) -> str:
        """What it does, in a line."""
        if self.kind == JobKind.IMPORT:
            return f"Import of {self.params.get('name', 'a file')}"
        if self.kind == JobKind.BULK:
            return str(self.params.get("title", "Bulk deed"))
        return f"Export of version {self.params.get('version')} as {self.params.get('format')}"

    @property
    def is_over(self) -> bool:
        return self.status in {JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED}

    def claim(self) -> bool:
        """True for the one caller that may run the job; a message delivered twice gets False."""
        claimed = Job.objects.filter(pk=self.pk, status=JobStatus.QUEUED).update(
            status=JobStatus.RUNNING,
            started_at=Now(),
            heartbeat_at=Now(),
            attempt=models.F("attempt") + 1,
        )
        if claimed:
            self.refresh_from_db()
        return claimed == 1
