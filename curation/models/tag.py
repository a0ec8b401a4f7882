"""Words that a project puts on questions and rationales, to find them again."""

from __future__ import annotations

import pghistory
from django.conf import settings
from django.db import models
from django.db.models.functions import Lower


class Tag(models.Model):
    """A name in a project; “Hard” and “hard” are one tag."""

    project = models.ForeignKey("curation.Project", on_delete=models.CASCADE, related_name="tags")
    name = models.CharField(max_length=60)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                "project", Lower("name"), name="a_tag_is_named_once_in_a_project"
            ),
            models.CheckConstraint(condition=~models.Q(name=""), name="a_tag_has_a_name"),
        ]

    def __str__(self) -> str:
        return self.name


class Tagging(models.Model):
    """That a tag is on something, since when, by whom. Taking it off deletes the row; the
    triggers remember."""

    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="on_%(class)ss")
    tagged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True


@pghistory.track(pghistory.InsertEvent(), pghistory.DeleteEvent())
class QuestionTag(Tagging):
    question = models.ForeignKey("curation.Question", on_delete=models.CASCADE, related_name="tags")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["question", "tag"], name="a_question_has_a_tag_once")
        ]

    def __str__(self) -> str:
        return f"{self.tag} on question {self.question_id}"


@pghistory.track(pghistory.InsertEvent(), pghistory.DeleteEvent())
class RationaleTag(Tagging):
    rationale = models.ForeignKey(
        "curation.Rationale", on_delete=models.CASCADE, related_name="tags"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rationale", "tag"], name="a_rationale_has_a_tag_once")
        ]

    def __str__(self) -> str:
        return f"{self.tag} on rationale {self.rationale_id}"
