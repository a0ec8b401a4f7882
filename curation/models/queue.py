"""How work reaches people: a queue holds questions; a lease gives one of them to one person."""

from __future__ import annotations

import pghistory
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.urls import reverse


class Ordering(models.TextChoices):
    AS_IMPORTED = "as_imported", "As imported"
    RANDOM = "random", "Random"


class Asked(models.TextChoices):
    RANK = "rank", "Rank the rationales"
    ACCEPT = "accept", "Accept or reject each"
    STEPS = "steps", "Label the steps of each"


def default_asked() -> list[str]:
    return [Asked.RANK, Asked.ACCEPT]


@pghistory.track(
    pghistory.InsertEvent(),
    pghistory.UpdateEvent(),
    pghistory.DeleteEvent(),
    exclude=["submitted", "skipped"],
)
class Queue(models.Model):
    """Questions whose rationales are to be judged, by `overlap` people each.

    `filter` is what chose the questions and the rationales shown:
    {"split", "source", "roles": […], "correct": true|false|null, "min": 2, "max": 8}.
    """

    project = models.ForeignKey("curation.Project", on_delete=models.CASCADE, related_name="queues")
    name = models.CharField(max_length=120)
    filter = models.JSONField(default=dict, blank=True)
    overlap = models.PositiveSmallIntegerField(default=1)
    ordering = models.CharField(
        max_length=20, choices=Ordering.choices, default=Ordering.AS_IMPORTED
    )
    blind = models.BooleanField(default=True, help_text="Hide who wrote what.")
    asked = ArrayField(models.CharField(max_length=10), default=default_asked)
    guidelines = models.TextField(blank=True)
    lease_minutes = models.PositiveSmallIntegerField(default=30)
    is_open = models.BooleanField(default=True)
    items_total = models.PositiveIntegerField(default=0)
    submitted = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-is_open", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="a_queue_is_named_once_in_a_project"
            ),
            models.CheckConstraint(
                condition=Q(overlap__gte=1), name="a_queue_asks_at_least_one_person"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("queue", args=[self.project.slug, self.pk])

    @property
    def judgements_wanted(self) -> int:
        return self.items_total * self.overlap


class QueueItem(models.Model):
    """One question in a queue. `taken` counts slots leased or submitted, never above overlap."""

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="items")
    question = models.ForeignKey(
        "curation.Question", on_delete=models.CASCADE, related_name="queue_items"
    )
    position = models.FloatField(help_text="Lowest first.")
    overlap = models.PositiveSmallIntegerField(default=1)
    taken = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["queue", "question"], name="a_question_is_once_in_a_queue"
            ),
            models.CheckConstraint(
                condition=Q(taken__lte=F("overlap")), name="an_item_is_never_taken_too_often"
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "position"],
                condition=Q(taken__lt=F("overlap")),
                name="the_items_that_are_free",
            )
        ]

    def __str__(self) -> str:
        return f"{self.question_id} in {self.queue_id}"


class AssignmentStatus(models.TextChoices):
    LEASED = "leased", "Leased"
    SUBMITTED = "submitted", "Submitted"
    SKIPPED = "skipped", "Skipped"
    EXPIRED = "expired", "Expired"


class Assignment(models.Model):
    """A person's lease of one item: what they were shown, their draft, and how it ended."""

    item = models.ForeignKey(QueueItem, on_delete=models.CASCADE, related_name="assignments")
    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="assignments")
    question = models.ForeignKey(
        "curation.Question", on_delete=models.CASCADE, related_name="assignments"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="assignments"
    )
    status = models.CharField(
        max_length=10, choices=AssignmentStatus.choices, default=AssignmentStatus.LEASED
    )
    shown_order = ArrayField(models.BigIntegerField(), default=list)
    draft = models.JSONField(default=dict, blank=True)
    skip_reason = models.CharField(max_length=200, blank=True)
    leased_at = models.DateTimeField(auto_now_add=True)
    leased_until = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["item", "user"], name="a_person_gets_an_item_once"),
            models.CheckConstraint(
                condition=Q(status__in=AssignmentStatus.values),
                name="an_assignment_has_a_known_status",
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "leased_until"],
                condition=Q(status="leased"),
                name="the_leases_that_run",
            ),
            models.Index(fields=["user", "queue", "-finished_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} on {self.question_id}: {self.status}"
