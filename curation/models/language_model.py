"""A teacher, a judge, a student or a checkpoint: each is one row."""

from __future__ import annotations

import pghistory
from django.core.validators import RegexValidator
from django.db import models


class Provider(models.TextChoices):
    LOCAL = "local", "Local transformers folder"
    OPENAI = "openai", "OpenAI-compatible endpoint"
    IMPORTED = "imported", "Imported text only"


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class LanguageModel(models.Model):
    """Where text comes from.

    `uri` is a folder or fsspec URL (local), a base URL (openai), or empty (imported).
    A key is never stored: `api_key_variable` names the environment variable of the worker that
    holds it, and has to begin with STILLROOM_KEY_, so that a form cannot read other secrets.
    """

    project = models.ForeignKey(
        "curation.Project", on_delete=models.CASCADE, related_name="language_models"
    )
    name = models.CharField(max_length=200)
    provider = models.CharField(max_length=10, choices=Provider.choices)
    uri = models.CharField(max_length=1000, blank=True)
    revision = models.CharField(max_length=200, blank=True)
    licence = models.CharField(max_length=100, blank=True)
    prices = models.JSONField(
        default=dict, blank=True, help_text="Per million tokens: {prompt, completion, currency}"
    )
    api_key_variable = models.CharField(
        max_length=100,
        blank=True,
        validators=[
            RegexValidator(
                r"^STILLROOM_KEY_[A-Z0-9_]+$",
                "Name an environment variable that begins with STILLROOM_KEY_.",
            )
        ],
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "revision"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name", "revision"],
                name="a_model_is_named_once_per_project_and_revision",
            ),
            models.CheckConstraint(
                condition=models.Q(provider__in=Provider.values),
                name="a_model_has_a_known_provider",
            ),
            models.CheckConstraint(
                condition=models.Q(provider="imported") | ~models.Q(uri=""),
                name="a_model_that_runs_has_a_uri",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.revision})" if self.revision else self.name

    @property
    def can_generate(self) -> bool:
        return self.provider != Provider.IMPORTED

    @property
    def can_train(self) -> bool:
        return self.provider == Provider.LOCAL
