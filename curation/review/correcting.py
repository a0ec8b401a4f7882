"""A correction is a new rationale by a person that `revises` the old one; the old one stays."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import transaction

from curation.models import Question, Rationale, RationaleRole, User
from curation.signals import rationales_stored

LONGEST = 400_000  # characters
LONGEST_ANSWER = 2_000


def correct(original: Rationale, author: User, thought: str, answer: str) -> Rationale:
    """The correction as it is stored. The same correction by the same person is stored once.

    Raises ValidationError with a sentence where it says nothing, nothing new, or too much.
    """
    thought, answer = _text(thought).rstrip(), _text(answer).strip()
    _check(original, thought, answer)
    written = Rationale(
        question=original.question,
        role=RationaleRole.HUMAN,
        author_user=author,
        thought=thought,
        answer=answer,
        revises=original,
    ).fill_keys()
    with transaction.atomic():
        Question.objects.select_for_update(no_key=True).get(pk=original.question_id)
        known = original.revisions.filter(draw_key=written.draw_key).first()
        if known is None:
            written.save()
            transaction.on_commit(lambda: _tell(written), robust=True)
    return known or written


def versions(rationale: Rationale) -> list[Rationale]:
    """The rationale, what it corrects and what corrects it, the first one first."""
    family = rationale.question.rationales.select_related("author_model", "author_user")
    family = family.defer("prompt_sent", "token_ids", "token_logprobs")
    found = {one.pk: one for one in family.order_by("pk")}
    root = found[rationale.pk]
    while root.revises_id in found:
        root = found[root.revises_id]
    kin = {root.pk}
    for one in found.values():
        if one.revises_id in kin:
            kin.add(one.pk)
    return [one for one in found.values() if one.pk in kin]


def corrections_by(author: User, rationales: Iterable[int]) -> dict[int, list[Rationale]]:
    """The person's own corrections of these rationales, by the rationale they correct."""
    own: dict[int, list[Rationale]] = {}
    found = Rationale.objects.filter(revises__in=rationales, author_user=author)
    for one in found.only("pk", "revises_id", "answer", "created_at").order_by("pk"):
        own.setdefault(one.revises_id or 0, []).append(one)
    return own


def _text(typed: str) -> str:
    return typed.replace("\0", "").replace("\r\n", "\n")


def _check(original: Rationale, thought: str, answer: str) -> None:
    if not thought.strip() and not answer:
        raise ValidationError("A correction needs a thought or an answer.")
    if (thought, answer) == (original.thought.rstrip(), original.answer.strip()):
        raise ValidationError("Nothing is changed yet, so there is nothing to save.")
    if len(thought) > LONGEST or len(answer) > LONGEST_ANSWER:
        raise ValidationError(
            f"That is too long: a thought has {LONGEST:,} characters at most, "
            f"an answer {LONGEST_ANSWER:,}."
        )


def _tell(written: Rationale) -> None:
    rationales_stored.send(
        sender=Question,
        project=written.question.project,
        rationale_ids=[written.pk],
        batch=written.batch,
    )
