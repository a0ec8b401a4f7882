"""What people and judges said. Facts: a changed mind is a new row, the old one is superseded."""

from __future__ import annotations

import pghistory
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class LiveQuerySet(models.QuerySet):
    def live(self) -> LiveQuerySet:
        """Those that nobody has taken back."""
        return self.filter(superseded_at=None)


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class Ranking(models.Model):
    """One judge's order of a question's rationales, the best first. Some may stay unplaced."""

    question = models.ForeignKey(
        "curation.Question", on_delete=models.CASCADE, related_name="rankings"
    )
    judge_user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="rankings",
    )
    judge_model = models.ForeignKey(
        "curation.LanguageModel",
        on_delete=models.RESTRICT,
        null=True,
        blank=True,
        related_name="rankings",
    )
    assignment = models.ForeignKey(
        "curation.Assignment",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="rankings",
    )
    shown_order = ArrayField(models.BigIntegerField(), default=list)
    seconds_spent = models.FloatField(null=True, blank=True)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    superseded_at = models.DateTimeField(null=True, blank=True)

    objects = LiveQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(judge_user__isnull=False) ^ Q(judge_model__isnull=False),
                name="a_ranking_has_one_judge",
            ),
            models.UniqueConstraint(
                fields=["question", "judge_user"],
                condition=Q(superseded_at=None, judge_user__isnull=False),
                name="a_person_has_one_live_ranking_of_a_question",
            ),
            models.UniqueConstraint(
                fields=["question", "judge_model"],
                condition=Q(superseded_at=None, judge_model__isnull=False),
                name="a_judge_has_one_live_ranking_of_a_question",
            ),
        ]

    def __str__(self) -> str:
        return f"Ranking {self.pk} of question {self.question_id}"

    @property
    def judge(self) -> str:
        return str(self.judge_user or self.judge_model)

    @property
    def judge_key(self) -> str:
        if self.judge_user_id:
            return f"person-{self.judge_user_id}"
        return f"model-{self.judge_model_id}"


class Place(models.Model):
    """Where a ranking puts a rationale: 1 is best; equal ranks are a tie."""

    ranking = models.ForeignKey(Ranking, on_delete=models.CASCADE, related_name="places")
    rationale = models.ForeignKey(
        "curation.Rationale", on_delete=models.CASCADE, related_name="places"
    )
    rank = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["rank", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["ranking", "rationale"], name="a_rationale_is_placed_once"
            ),
            models.CheckConstraint(condition=Q(rank__gte=1), name="the_best_rank_is_one"),
        ]

    def __str__(self) -> str:
        return f"{self.rationale_id} at {self.rank}"


class Decision(models.TextChoices):
    ACCEPT = "accept", "Accept"
    REJECT = "reject", "Reject"


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class Review(models.Model):
    """Whether a person holds a rationale fit to be learnt from, and why."""

    rationale = models.ForeignKey(
        "curation.Rationale", on_delete=models.CASCADE, related_name="reviews"
    )
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews"
    )
    assignment = models.ForeignKey(
        "curation.Assignment",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="reviews",
    )
    decision = models.CharField(max_length=6, choices=Decision.choices)
    reasons = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    superseded_at = models.DateTimeField(null=True, blank=True)

    objects = LiveQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=Q(assignment=None),
                name="reviews_outside_queues",
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["rationale", "reviewer"],
                condition=Q(superseded_at=None),
                name="a_person_has_one_live_review_of_a_rationale",
            ),
            models.CheckConstraint(
                condition=Q(decision__in=Decision.values), name="a_review_accepts_or_rejects"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reviewer_id}: {self.decision} {self.rationale_id}"


class StepQuality(models.TextChoices):
    GOOD = "good", "Good"
    NEUTRAL = "neutral", "Neutral"
    BAD = "bad", "Bad"


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class StepLabel(models.Model):
    """What a person holds of one step of a rationale.

    `step` counts from 1 as `curation.text.stepping.steps` cuts the thought; `start` and `end` say
    which characters of the thought were meant, whatever becomes of the cutting.
    """

    rationale = models.ForeignKey(
        "curation.Rationale", on_delete=models.CASCADE, related_name="step_labels"
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="step_labels"
    )
    assignment = models.ForeignKey(
        "curation.Assignment",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="step_labels",
    )
    step = models.PositiveIntegerField()
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    label = models.CharField(max_length=7, choices=StepQuality.choices)
    created_at = models.DateTimeField(auto_now_add=True)
    superseded_at = models.DateTimeField(null=True, blank=True)

    objects = LiveQuerySet.as_manager()

    class Meta:
        ordering = ["rationale", "step", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["rationale", "by", "step"],
                condition=Q(superseded_at=None),
                name="a_person_has_one_live_label_of_a_step",
            ),
            models.CheckConstraint(
                condition=Q(label__in=StepQuality.values), name="a_step_is_good_neutral_or_bad"
            ),
            models.CheckConstraint(
                condition=Q(step__gte=1) & Q(end__gt=models.F("start")),
                name="a_step_label_names_its_step",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.by_id}: step {self.step} of {self.rationale_id} is {self.label}"


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class Comment(models.Model):
    """A remark on a rationale. Its writer may withdraw it; nobody edits it."""

    rationale = models.ForeignKey(
        "curation.Rationale", on_delete=models.CASCADE, related_name="comments"
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="comments"
    )
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=~Q(text=""), name="a_comment_says_something"),
        ]

    def __str__(self) -> str:
        return f"{self.by_id} on {self.rationale_id}: {self.text[:40]}"
