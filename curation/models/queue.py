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
    DISAGREEMENT = "disagreement", "Most disagreement first"
    ACCORD = "accord", "Lowest accord of verifier and judge first"
    CLOSEST = "closest", "Closest utilities first"
    VARIANCE = "variance", "Highest variance first"


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
    exclude=["submitted", "skipped", "complete", "agreement_is_stale"],
)
class Queue(models.Model):
    """Questions whose rationales are to be judged, by `overlap` people each.

    `filter` is what chose the questions and the rationales shown, with the keys of
    `curation.queues.contents.Filter`. `submitted`, `skipped` and `complete` are kept by
    `curation.queues.counters` in the transaction of the deed; gold items count in none of them.
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
    complete = models.PositiveIntegerField(default=0, help_text="Items judged by all wanted.")
    gold_share = models.FloatField(default=0.1, help_text="Of the items handed out, when any.")
    adjudicate_below = models.FloatField(
        default=0.7, null=True, blank=True, help_text="Kendall's W under which a group is decided."
    )
    adjudicate_splits = models.BooleanField(
        default=True, help_text="Groups in which some accept what others reject are decided."
    )
    adjudicate_blind = models.BooleanField(
        default=False, help_text="Hide from the adjudicator who said what."
    )
    agreement_is_stale = models.BooleanField(default=False)
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
            models.CheckConstraint(
                condition=Q(gold_share__gte=0, gold_share__lte=0.5),
                name="at_most_half_of_the_items_are_gold",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("queue", args=[self.project.slug, self.pk])

    @property
    def judgements_wanted(self) -> int:
        return self.items_total * self.overlap


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class QueuePerson(models.Model):
    """Somebody named for a queue. While nobody is named to judge, every annotator may.

    Researchers and owners may always adjudicate; `adjudicates` allows it to somebody else.
    """

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="people")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="queues_named_for"
    )
    judges = models.BooleanField(default=True)
    adjudicates = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["queue", "user"], name="a_person_is_named_once_for_a_queue"
            ),
            models.CheckConstraint(
                condition=Q(judges=True) | Q(adjudicates=True),
                name="a_person_named_for_a_queue_does_something",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} for {self.queue_id}"


class Tally(models.Model):
    """What one person did in a queue, gold included, as `curation.queues.counters` keeps it."""

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="tallies")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tallies"
    )
    submitted = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["queue", "user"], name="a_person_has_one_tally")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.queue_id}: {self.submitted}"


class QueueItem(models.Model):
    """One question in a queue. `taken` counts slots leased or submitted, never above overlap.

    `priority` is the figure that `ordering` sorts by, where it is computed (highest first), and
    `position` the place that follows from it. `concordance` (Kendall's W) and `is_split` say how
    far those who judged it agree, and are known once two have.
    """

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="items")
    question = models.ForeignKey(
        "curation.Question", on_delete=models.CASCADE, related_name="queue_items"
    )
    position = models.FloatField(help_text="Lowest first.")
    overlap = models.PositiveSmallIntegerField(default=1)
    taken = models.PositiveSmallIntegerField(default=0)
    submitted = models.PositiveSmallIntegerField(default=0)
    priority = models.FloatField(null=True, blank=True)
    is_gold = models.BooleanField(default=False)
    concordance = models.FloatField(null=True, blank=True)
    is_split = models.BooleanField(default=False)

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
                condition=Q(taken__lt=F("overlap"), is_gold=False),
                name="the_items_that_are_free",
            ),
            models.Index(
                fields=["queue"], condition=Q(is_gold=True), name="the_items_that_are_gold"
            ),
            models.Index(
                fields=["queue", "concordance"],
                condition=Q(submitted__gte=2),
                name="the_items_that_two_judged",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.question_id} in {self.queue_id}"


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class Gold(models.Model):
    """What is known about a gold item: {rationale id: rank} and {rationale id: decision}.

    JSON keys are texts. People are measured against it and never told which items it is.
    """

    item = models.OneToOneField(QueueItem, on_delete=models.CASCADE, related_name="gold")
    ranks = models.JSONField(default=dict, blank=True)
    decisions = models.JSONField(default=dict, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(ranks={}) | ~Q(decisions={}), name="a_gold_item_knows_something"
            )
        ]

    def __str__(self) -> str:
        return f"Gold for {self.item_id}"


class AssignmentStatus(models.TextChoices):
    AHEAD = "ahead", "Kept ready"
    LEASED = "leased", "Leased"
    SUBMITTED = "submitted", "Submitted"
    SKIPPED = "skipped", "Skipped"
    EXPIRED = "expired", "Expired"


class Assignment(models.Model):
    """A person's lease of one item: what they were shown, their draft, and how it ended.

    AHEAD is the next item, kept ready for a short while; unused, the row goes away again.
    """

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
                condition=Q(status__in=["ahead", "leased"]),
                name="the_leases_that_run",
            ),
            models.Index(fields=["user", "queue", "-finished_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} on {self.question_id}: {self.status}"
