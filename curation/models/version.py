"""A frozen, numbered, hashed choice of rationales: what a run trains on."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.urls import reverse


class DatasetVersion(models.Model):
    """Immutable. `recipe` says whose judgements and which selection; `counts` what came of it.

    `counts` = {"questions", "rationales", "by_part": {…}, "left_out": {reason: n}}.
    `file` is the frozen dataset.jsonl under ARTIFACTS_URL, `sha256` the hash of its bytes.
    """

    project = models.ForeignKey(
        "curation.Project", on_delete=models.CASCADE, related_name="dataset_versions"
    )
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=120, blank=True)
    recipe = models.JSONField()
    sha256 = models.CharField(max_length=64)
    counts = models.JSONField(default=dict)
    file = models.CharField(max_length=1000)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="a_version_has_one_number")
        ]
        triggers = [pgtrigger.Protect(name="a_version_is_frozen", operation=pgtrigger.Update)]

    def __str__(self) -> str:
        return f"v{self.number} {self.name}".strip()

    def get_absolute_url(self) -> str:
        return reverse("version", args=[self.project.slug, self.number])


class DatasetItem(models.Model):
    """That a version holds a rationale: `row` is the line of its file, `part` the split."""

    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="items")
    row = models.PositiveIntegerField()
    rationale = models.ForeignKey(
        "curation.Rationale", on_delete=models.CASCADE, related_name="dataset_items"
    )
    part = models.CharField(max_length=10)

    class Meta:
        ordering = ["row", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["version", "rationale"], name="a_rationale_is_once_in_a_version"
            )
        ]
        triggers = [pgtrigger.Protect(name="an_item_is_frozen", operation=pgtrigger.Update)]

    def __str__(self) -> str:
        return f"{self.rationale_id} in {self.version_id}"
