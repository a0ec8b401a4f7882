"""What a training run tells on its way: its rounds, and its answers to the probe's questions."""

from __future__ import annotations

from django.db import models

from training.models.run import Run


class Round(models.Model):
    """One round of a run, and where its contents stand in the run's `groups.jsonl`.

    The table finds a round by its number or by a step without reading the file; a page then reads
    the few bytes that it shows.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="rounds")
    number = models.PositiveIntegerField()
    source = models.CharField(max_length=10)
    groups = models.PositiveIntegerField()
    first_step = models.PositiveIntegerField()
    last_step = models.PositiveIntegerField()
    at = models.PositiveBigIntegerField(help_text="Where its line of contents begins.")
    bytes = models.PositiveBigIntegerField(help_text="How long that line is.")

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="a_round_is_told_once")
        ]
        indexes = [models.Index(fields=["run", "first_step"])]

    def __str__(self) -> str:
        return f"round {self.number} of {self.run_id}"


class ProbeAnswer(models.Model):
    """What the model said to one of the probe's questions after a step; 0 is before the first."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="probe_answers")
    step = models.PositiveIntegerField()
    question = models.ForeignKey(
        "curation.Question", on_delete=models.CASCADE, related_name="probe_answers"
    )
    text = models.TextField(blank=True)
    answer = models.TextField(blank=True)
    correct = models.BooleanField(null=True)
    finish_reason = models.CharField(max_length=20, blank=True)

    class Meta:
        ordering = ["step", "question_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "step", "question"], name="a_probe_is_answered_once_a_step"
            )
        ]

    def __str__(self) -> str:
        return f"{self.question_id} at step {self.step}: {self.correct}"
