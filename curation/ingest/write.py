"""The two INSERTs of an import. Columns travel as arrays: one statement a batch, whatever its size.

`ON CONFLICT DO NOTHING … RETURNING` tells exactly what is new, whoever else writes meanwhile.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection

from curation.models import Project, Question, Rationale

_QUESTIONS = """
insert into curation_question (project_id, created_at, metadata, external_id, text, text_hash,
                               reference_answer, answer_kind, split, source)
select %s, now(), incoming.*
from unnest(%s::jsonb[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::text[]) as incoming
on conflict do nothing
returning id, text_hash
"""
_RATIONALES = """
insert into curation_rationale (batch, created_at, prompt_sent, sampling, index, finish_reason,
                                question_id, author_model_id, role, thought, answer, token_count,
                                draw_key, content_hash)
select %s, now(), '', '{}', 0, '', incoming.*
from unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::integer[],
            %s::text[], %s::text[]) as incoming
on conflict do nothing
returning id
"""


@dataclass
class Known:
    """What an import has to know of a question that is in the record."""

    pk: int
    split: str
    reference_answer: str


def known_questions(project: Project, hashes: Iterable[str]) -> dict[str, Known]:
    """Text hash → question, of those that are here."""
    here = Question.objects.filter(project=project, text_hash__in=list(hashes))
    rows = here.values_list("text_hash", "pk", "split", "reference_answer")
    return {text_hash: Known(pk, split, answer) for text_hash, pk, split, answer in rows}


def insert_questions(project: Project, questions: list[Question]) -> dict[str, int]:
    """Text hash → id, of those that were not here yet."""
    columns = zip(
        *(
            (
                json.dumps(question.metadata),
                question.external_id,
                question.text,
                question.text_hash,
                question.reference_answer,
                str(question.answer_kind),
                str(question.split),
                question.source,
            )
            for question in questions
        ),
        strict=True,
    )
    with connection.cursor() as cursor:
        cursor.execute(_QUESTIONS, [project.pk, *(list(column) for column in columns)])
        return {text_hash: pk for pk, text_hash in cursor.fetchall()}


def insert_rationales(batch: uuid.UUID, rationales: list[Rationale]) -> list[int]:
    """The ids of those that were not here yet."""
    columns = zip(
        *(
            (
                rationale.question_id,
                rationale.author_model_id,
                rationale.role,
                rationale.thought,
                rationale.answer,
                rationale.token_count,
                rationale.draw_key,
                rationale.content_hash,
            )
            for rationale in rationales
        ),
        strict=True,
    )
    with connection.cursor() as cursor:
        cursor.execute(_RATIONALES, [batch, *(list(column) for column in columns)])
        return [pk for (pk,) in cursor.fetchall()]
