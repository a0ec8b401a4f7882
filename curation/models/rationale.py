"""A chain of thought with its answer, and the automatic facts about it. Neither is ever edited."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class RationaleRole(models.TextChoices):
    TEACHER = "teacher", "Teacher"
    STUDENT = "student", "Student"
    HUMAN = "human", "Human"


def content_hash(thought: str, answer: str) -> str:
    """sha256 of what is said, whoever says it."""
    return hashlib.sha256(f"{thought}\x1f{answer}".encode()).hexdigest()


def draw_key(
    author: str,
    prompt: str,
    sampling: dict[str, Any],
    seed: int | None,
    index: int,
    extra: str = "",
) -> str:
    """What makes a draw the same draw: a retry that produces this key again adds nothing.

    `author` is "model-7" or "user-3"; `extra` is the content hash for texts nobody sampled
    (imports, corrections), whose identity is what they say.
    """
    parts = json.dumps([author, prompt, sampling, seed, index, extra], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()


class Rationale(models.Model):
    """One chain of thought for one question, by one author, as it was written.

    A correction is a new row that `revises` the old one. An answer drawn after somebody else's
    thought is `conditioned_on` that rationale (CoTD-PO). `batch` is the run or import it came by.
    """

    question = models.ForeignKey(
        "curation.Question", on_delete=models.CASCADE, related_name="rationales"
    )
    role = models.CharField(max_length=8, choices=RationaleRole.choices)
    author_model = models.ForeignKey(
        "curation.LanguageModel",
        on_delete=models.RESTRICT,
        null=True,
        blank=True,
        db_index=False,  # two indexes begin with it
        related_name="rationales",
    )
    author_user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,  # as the two below: only the few rows that have it are indexed
        related_name="rationales",
    )
    thought = models.TextField(blank=True)
    answer = models.TextField(blank=True, help_text="Empty where no final answer could be read.")
    prompt_sent = models.TextField(blank=True)
    sampling = models.JSONField(default=dict, blank=True)
    seed = models.BigIntegerField(null=True, blank=True)
    index = models.PositiveIntegerField(default=0)
    draw_key = models.CharField(max_length=64, editable=False)
    content_hash = models.CharField(max_length=64, editable=False)
    finish_reason = models.CharField(max_length=20, blank=True)
    token_count = models.PositiveIntegerField(null=True, blank=True)
    logprob = models.FloatField(null=True, blank=True, help_text="Sum over completion tokens, nats")
    token_ids = ArrayField(models.IntegerField(), null=True, blank=True)
    token_logprobs = ArrayField(models.FloatField(), null=True, blank=True)
    conditioned_on = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        db_index=False,
        related_name="answers",
    )
    revises = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        db_index=False,
        related_name="revisions",
    )
    batch = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["question", "draw_key"], name="a_draw_is_stored_once"),
            models.CheckConstraint(
                condition=Q(author_model__isnull=False) ^ Q(author_user__isnull=False),
                name="a_rationale_has_one_author",
            ),
            models.CheckConstraint(
                condition=Q(role__in=RationaleRole.values), name="a_rationale_has_a_known_role"
            ),
            models.CheckConstraint(
                condition=~Q(thought="") | ~Q(answer=""), name="a_rationale_says_something"
            ),
            models.CheckConstraint(
                condition=Q(revises__isnull=True) | ~Q(revises=models.F("id")),
                name="a_rationale_revises_another",
            ),
        ]
        indexes = [
            models.Index(fields=["batch"]),
            models.Index(
                fields=["author_user"],
                condition=Q(author_user__isnull=False),
                name="rationales_by_people",
            ),
            models.Index(
                fields=["conditioned_on"],
                condition=Q(conditioned_on__isnull=False),
                name="answers_to_a_thought",
            ),
            models.Index(fields=["revises"], condition=Q(revises__isnull=False), name="revisions"),
            models.Index(fields=["author_model", "question"]),
            # With the question, so that lists by key find their project without reading rows.
            models.Index(fields=["author_model", "id", "question"], name="rationales_of_an_author"),
            models.Index(
                fields=["role", "id", "question"],
                condition=~Q(role="teacher"),
                name="rationales_no_teacher_wrote",
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="a_rationale_is_never_edited", operation=pgtrigger.Update)
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} rationale {self.pk}"

    def save(self, **kwargs: Any) -> None:
        self.fill_keys()
        super().save(**kwargs)

    @property
    def author(self) -> str:
        return str(self.author_model or self.author_user)

    @property
    def author_key(self) -> str:
        if self.author_model_id:
            return f"model-{self.author_model_id}"
        return f"user-{self.author_user_id}"

    def fill_keys(self) -> Rationale:
        """Set the two hashes from the other fields; call it before `bulk_create`."""
        self.content_hash = content_hash(self.thought, self.answer)
        drawn = self.seed is not None
        self.draw_key = draw_key(
            self.author_key,
            self.prompt_sent,
            self.sampling,
            self.seed,
            self.index,
            "" if drawn else f"{self.content_hash}{self.revises_id or ''}",
        )
        return self


class Score(models.Model):
    """An automatic fact about a rationale, by a named scorer at a version. Append-only.

    Scorers in use: `answer_correct` (1, 0), `valid_steps` (share of 0–1), `judge_rating`,
    `tokens`; by a student `rationale_difficulty`, `answer_probability`, `rationale_logprob` and
    `rationale_rouge_l`. `model` is the judge, or the student that read the rationale.
    """

    rationale = models.ForeignKey(Rationale, on_delete=models.CASCADE, related_name="scores")
    scorer = models.CharField(max_length=60)
    scorer_version = models.CharField(max_length=40)
    model = models.ForeignKey(
        "curation.LanguageModel", on_delete=models.RESTRICT, null=True, blank=True, related_name="+"
    )
    value = models.FloatField(null=True, help_text="Empty where the scorer could not tell.")
    detail = models.JSONField(default=dict, blank=True)
    batch = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["rationale", "scorer", "scorer_version", "model", "batch"],
                name="a_fact_is_scored_once",
                nulls_distinct=False,
            ),
        ]
        indexes = [models.Index(fields=["scorer", "value", "rationale"])]
        triggers = [pgtrigger.Protect(name="a_score_is_never_edited", operation=pgtrigger.Update)]

    def __str__(self) -> str:
        return f"{self.scorer} of {self.rationale_id}: {self.value}"
