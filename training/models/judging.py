"""What a judge model said of one question in one run."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q


class JudgeVerdict(models.Model):
    """All replies about one question's rationales, and the ranking that came of them.

    Ratings are rows of `Score`; a ranking is a `Ranking` of the judge model, which a later run may
    supersede. This row stays: it says which prompt was used, what was shown, what the judge wrote
    word for word, and how much of it was no verdict. `detail` is the engine's line, whole.
    """

    run = models.ForeignKey("training.Run", on_delete=models.CASCADE, related_name="verdicts")
    question = models.ForeignKey(
        "curation.Question", on_delete=models.CASCADE, related_name="judge_verdicts"
    )
    ranking = models.OneToOneField(
        "curation.Ranking", on_delete=models.SET_NULL, null=True, blank=True, related_name="verdict"
    )
    version = models.CharField(
        max_length=40, help_text="As in `Score.scorer_version`: mode, prompt, sampling."
    )
    rationales = ArrayField(models.BigIntegerField(), help_text="What was judged, by id.")
    asked = models.PositiveIntegerField()
    parsed = models.PositiveIntegerField(help_text="Replies that had a verdict.")
    detail = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "question"], name="a_run_judges_a_question_once"
            ),
            models.CheckConstraint(
                condition=Q(parsed__lte=F("asked")), name="a_verdict_answers_what_was_asked"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.parsed} of {self.asked} verdicts on question {self.question_id}"
