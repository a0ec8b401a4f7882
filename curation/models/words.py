"""What a rationale says, as words to be searched."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models


class Words(models.Model):
    """The search vector of a rationale.

    A row of its own, which a worker writes soon after the rationale: stemming a text takes longer
    than storing it, and an import should not wait for it.
    """

    rationale = models.OneToOneField(
        "curation.Rationale", on_delete=models.CASCADE, primary_key=True, related_name="words"
    )
    search = SearchVectorField()

    class Meta:
        indexes = [GinIndex(fields=["search"], name="the_words_of_rationales")]

    def __str__(self) -> str:
        return f"the words of rationale {self.rationale_id}"
