"""What is asked. One question text in a project is one question."""

from __future__ import annotations

import hashlib
import unicodedata

import pghistory
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.urls import reverse


class AnswerKind(models.TextChoices):
    NUMBER = "number", "Number"
    CHOICE = "choice", "Choice"
    TEXT = "text", "Short text"
    OPEN = "open", "Open"


class Split(models.TextChoices):
    TRAIN = "train", "Train"
    VALIDATION = "validation", "Validation"
    TEST = "test", "Test"


def text_hash(text: str) -> str:
    """sha256 of the text, Unicode composed and white space folded: what 'same question' means."""
    folded = " ".join(unicodedata.normalize("NFC", text).split())
    return hashlib.sha256(folded.encode()).hexdigest()


@pghistory.track(
    # A question's first row is not in the history (imports bring too many), so a change keeps both.
    pghistory.UpdateEvent("before", row=pghistory.Old),
    pghistory.UpdateEvent(),
    pghistory.DeleteEvent(),
    exclude=["search"],
)
class Question(models.Model):
    """A question with, where it has one, its reference answer.

    The split is chosen when the question enters, before anything is sampled for it.
    """

    project = models.ForeignKey(
        "curation.Project",
        on_delete=models.CASCADE,
        db_index=False,  # five indexes begin with it
        related_name="questions",
    )
    external_id = models.CharField(max_length=200)
    text = models.TextField()
    text_hash = models.CharField(max_length=64, editable=False)
    reference_answer = models.TextField(blank=True)
    answer_kind = models.CharField(
        max_length=8, choices=AnswerKind.choices, default=AnswerKind.NUMBER
    )
    split = models.CharField(max_length=10, choices=Split.choices, default=Split.TRAIN)
    source = models.CharField(max_length=200, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    search = models.GeneratedField(
        expression=SearchVector("text", config="english"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "external_id"], name="a_question_is_identified_once"
            ),
            models.UniqueConstraint(
                fields=["project", "text_hash"], name="a_question_text_is_one_question"
            ),
            models.CheckConstraint(
                condition=models.Q(split__in=Split.values), name="a_question_has_a_known_split"
            ),
            models.CheckConstraint(
                condition=models.Q(answer_kind__in=AnswerKind.values),
                name="a_question_has_a_known_answer_kind",
            ),
            models.CheckConstraint(condition=~models.Q(text=""), name="a_question_asks_something"),
        ]
        indexes = [
            models.Index(fields=["project", "id"]),
            models.Index(fields=["project", "split", "id"]),
            models.Index(fields=["project", "source", "id"]),
            GinIndex(fields=["search"]),
        ]

    def __str__(self) -> str:
        return self.text if len(self.text) <= 80 else self.text[:79] + "…"

    def save(self, **kwargs: object) -> None:
        self.text_hash = text_hash(self.text)
        self.external_id = self.external_id or self.text_hash[:16]
        super().save(**kwargs)  # type: ignore[arg-type]

    def get_absolute_url(self) -> str:
        return reverse("question", args=[self.project.slug, self.pk])
