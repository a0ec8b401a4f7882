"""Where people disagreed, somebody decides. The decision is one fact more; the others stay."""

from __future__ import annotations

import pghistory
import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from curation.models.judgement import LiveQuerySet


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class Adjudication(models.Model):
    """The order and the decisions that hold for a question, whatever was said before.

    `ranks` is {rationale id: rank} and `decisions` {rationale id: "accept" | "reject"}; JSON keys
    are texts. Append-only: a later decision supersedes it.
    """

    question = models.ForeignKey(
        "curation.Question", on_delete=models.CASCADE, related_name="adjudications"
    )
    queue = models.ForeignKey(
        "curation.Queue",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="adjudications",
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="adjudications"
    )
    shown_order = ArrayField(models.BigIntegerField(), default=list)
    ranks = models.JSONField(default=dict, blank=True)
    decisions = models.JSONField(default=dict, blank=True)
    note = models.TextField(blank=True)
    at = models.DateTimeField(auto_now_add=True)
    superseded_at = models.DateTimeField(null=True, blank=True)

    objects = LiveQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["question"],
                condition=Q(superseded_at=None),
                name="a_question_has_one_live_adjudication",
            ),
            models.CheckConstraint(
                condition=~Q(ranks={}) | ~Q(decisions={}),
                name="an_adjudication_decides_something",
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="an_adjudication_is_only_superseded",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("question", "by", "ranks", "decisions", "note", "at"),
            )
        ]

    def __str__(self) -> str:
        return f"Adjudication of question {self.question_id}"
