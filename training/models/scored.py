"""How far the record has its automatic scores."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class Scored(models.Model):
    """One row, moved on by `training.runs.scoring`: all rationales up to `up_to` are scored.

    `seen` is the highest key there was at `seen_at`. Once that is a while ago, no transaction is
    open that could still bring a key below it.
    """

    up_to = models.PositiveBigIntegerField(default=0)
    seen = models.PositiveBigIntegerField(default=0)
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(pk=1), name="what_is_scored_is_one_row"),
            models.CheckConstraint(
                condition=Q(up_to__lte=F("seen")), name="what_is_scored_was_seen_before"
            ),
        ]

    def __str__(self) -> str:
        return f"All up to rationale {self.up_to}"
