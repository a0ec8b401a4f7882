"""What an import asks and the two INSERTs it makes. Rows travel as one JSON text, so a batch is
one statement.

`ON CONFLICT DO NOTHING … RETURNING` tells exactly what is new, whoever else writes meanwhile.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection

from curation.models import Project, Question
from curation.models.rationale import content_hash, draw_key

_QUESTIONS = """
insert into curation_question (project_id, created_at, metadata, external_id, text, text_hash,
                               reference_answer, answer_kind, split, source)
select %s, now(), metadata, external_id, text, text_hash, reference_answer, answer_kind, split,
       source
from json_to_recordset(%s) as incoming (
  metadata jsonb, external_id text, text text, text_hash text, reference_answer text,
  answer_kind text, split text, source text)
on conflict do nothing
returning id, text_hash
"""
_RATIONALES = """
insert into curation_rationale (batch, created_at, prompt_sent, sampling, index, finish_reason,
                                question_id, author_model_id, role, thought, answer, token_count,
                                draw_key, content_hash)
select %s, now(), '', '{}', 0, '', question, author, role, thought, answer, token_count, draw_key,
       content_hash
from json_to_recordset(%s) as incoming (
  question bigint, author bigint, role text, thought text, answer text, token_count integer,
  draw_key text, content_hash text)
on conflict do nothing
returning id
"""
_KNOWN = """
select text_hash, id, split, reference_answer from curation_question
where project_id = %s and text_hash = any(%s)
"""
_ASKED = (
    "metadata",
    "external_id",
    "text",
    "text_hash",
    "reference_answer",
    "answer_kind",
    "split",
    "source",
)


@dataclass
class Known:
    """What an import has to know of a question that is in the record."""

    pk: int
    split: str
    reference_answer: str


def known_questions(project: Project, hashes: Iterable[str]) -> dict[str, Known]:
    """Text hash → question, of those that are here."""
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, [project.pk, list(hashes)])
        return {text_hash: Known(pk, *rest) for text_hash, pk, *rest in cursor.fetchall()}


def insert_questions(project: Project, questions: list[Question]) -> dict[str, int]:
    """Text hash → id, of those that were not here yet."""
    rows = [{name: getattr(question, name) for name in _ASKED} for question in questions]
    with connection.cursor() as cursor:
        cursor.execute(_QUESTIONS, [project.pk, as_json(rows)])
        return {text_hash: pk for pk, text_hash in cursor.fetchall()}


class NewRationale(NamedTuple):
    """The columns of a rationale that an import knows.

    No model instance: building five of those a question took longer than everything else.
    """

    question: int
    author: int
    role: str
    thought: str
    answer: str
    token_count: int | None
    draw_key: str
    content_hash: str

    @classmethod
    def of(
        cls, question: int, author: int, role: str, thought: str, answer: str, tokens: int | None
    ) -> NewRationale:
        """With the two hashes, as `Rationale.fill_keys` makes them for a text nobody sampled."""
        said = content_hash(thought, answer)
        key = draw_key(f"model-{author}", "", {}, None, 0, said)
        return cls(question, author, role, thought, answer, tokens, key, said)


def insert_rationales(batch: uuid.UUID, rationales: list[NewRationale]) -> list[int]:
    """The ids of those that were not here yet."""
    rows = [rationale._asdict() for rationale in rationales]
    with connection.cursor() as cursor:
        cursor.execute(_RATIONALES, [batch, as_json(rows)])
        return [pk for (pk,) in cursor.fetchall()]


def as_json(rows: list[dict[str, Any]]) -> str:
    """UTF-8 as it is: escapes would double the bytes of every script but ours."""
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
