"""How far people agree, as last computed. Pages read it; `curation.agreement.figures` writes it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class Measure(models.TextChoices):
    ALPHA_ACCEPT = "alpha_accept", "Krippendorff's α of accept and reject"
    ALPHA_RANK = "alpha_rank", "Krippendorff's α of ranks"
    TAU = "tau", "Kendall's τ-b"
    W = "w", "Kendall's W"
    GOLD = "gold", "Gold accuracy"
    SECONDS = "seconds", "Median seconds"


class Window(models.TextChoices):
    ALL = "all", "All time"
    MONTH = "month", "Last 30 days"
    WEEK = "week", "Last 7 days"
    ONE_WEEK = "one_week", "One calendar week"


class Figure(models.Model):
    """One figure with its 95 % interval: of a queue or a whole project, within a window of time.

    `person` alone: that person against all others (for GOLD and SECONDS, the person's own);
    with `other`: the two; with `model`: the judge against that person, or against all people.
    `week` is the Monday of a ONE_WEEK.
    """

    project = models.ForeignKey(
        "curation.Project", on_delete=models.CASCADE, related_name="figures"
    )
    queue = models.ForeignKey(
        "curation.Queue", on_delete=models.CASCADE, null=True, related_name="figures"
    )
    measure = models.CharField(max_length=12, choices=Measure.choices)
    window = models.CharField(max_length=8, choices=Window.choices, default=Window.ALL)
    week = models.DateField(null=True)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    other = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    model = models.ForeignKey(
        "curation.LanguageModel", on_delete=models.CASCADE, null=True, related_name="+"
    )
    value = models.FloatField(null=True, help_text="Empty where the data do not define it.")
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    items = models.PositiveIntegerField(help_text="Questions behind the figure.")
    computed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "project", "queue", "measure", "window", "week", "person", "other", "model",
                ],
                name="a_figure_stands_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(window="one_week", week__isnull=False)
                | (~Q(window="one_week") & Q(week__isnull=True)),
                name="only_one_week_has_a_monday",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.measure}: {self.value}"
