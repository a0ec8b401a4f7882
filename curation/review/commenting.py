"""Remarks on rationales. Who may still judge a question blind reads only their own."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.utils import timezone

from curation.models import Comment, Question, Rationale, User

LONGEST = 5_000  # characters


def comment(rationale: Rationale, by: User, text: str) -> Comment:
    """Raises ValidationError with a sentence for an empty or endless text."""
    text = text.replace("\0", "").strip()
    if not text:
        raise ValidationError("The comment is empty. Write a word or two first.")
    if len(text) > LONGEST:
        raise ValidationError(f"A comment has {LONGEST:,} characters at most.")
    return Comment.objects.create(rationale=rationale, by=by, text=text)


def withdraw(found: Comment) -> bool:
    """Take the comment back; False: it was taken back already."""
    live = Comment.objects.filter(pk=found.pk, withdrawn_at=None)
    return live.update(withdrawn_at=timezone.now()) == 1


def comments_on(question: Question, reader: User, blind: bool) -> dict[int, list[Comment]]:
    """Rationale → its comments, the first one first; withdrawn ones are gone from sight."""
    found: Iterable[Comment] = Comment.objects.filter(
        rationale__question=question, withdrawn_at=None
    ).select_related("by")
    by_rationale: dict[int, list[Comment]] = {}
    for one in found:
        if not blind or one.by_id == reader.pk:
            by_rationale.setdefault(one.rationale_id, []).append(one)
    return by_rationale
