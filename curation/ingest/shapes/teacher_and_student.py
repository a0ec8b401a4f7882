"""Rows with a teacher's rationale and a student's own (wrong) response to the same question.

`question`, `gold_answer`, `teacher_cot`, `response`, and beside them `token_count` of the response.
The rows do not name the two models: the names come with the import, or are the defaults here.
"""

from __future__ import annotations

import re
from typing import Any

from curation.ingest.answers import kind_of, split_answer
from curation.ingest.record import STUDENT, TEACHER, Draft, DraftRationale, Names
from curation.ingest.shapes.base import count_of, split_of, text_of

# What a chat interface shows before the thought; the thought itself is kept whole.
_FURNITURE = re.compile(r"\A(?:Thinking\s*(?:…|\.\.\.)|<think>)\s*", re.IGNORECASE)
_DANGLING = re.compile(r"\s*(?:\*\*|</think>)\s*\Z")


class TeacherAndStudent:
    name = "teacher_and_student"
    words = "A teacher’s rationale and a student’s own response to each question"
    names = Names(teacher="DeepSeek-R1-Distill-Qwen-14B", student="Imported student")
    split = ""

    def recognises(self, fields: dict[str, Any]) -> bool:
        return {"question", "teacher_cot", "response"} <= set(fields)

    def read(self, fields: dict[str, Any], names: Names) -> Draft:
        question = text_of(fields, "question", required=True)
        gold = text_of(fields, "gold_answer")
        return Draft(
            text=question,
            reference_answer=gold,
            answer_kind=kind_of(gold),
            external_id=text_of(fields, "id"),
            split=split_of(fields),
            source=text_of(fields, "source"),
            rationales=(_teacher(fields, names, gold), _student(fields, names)),
        )


def _teacher(fields: dict[str, Any], names: Names, gold: str) -> DraftRationale:
    text = _FURNITURE.sub("", text_of(fields, "teacher_cot", required=True))
    thought, answer = split_answer(text)
    author = text_of(fields, "teacher") or text_of(fields, "teacher_model") or names.teacher
    return DraftRationale(TEACHER, author, _DANGLING.sub("", thought), answer or gold)


def _student(fields: dict[str, Any], names: Names) -> DraftRationale:
    """The answer is what the response itself ends with: a response cut off has none."""
    thought, answer = split_answer(text_of(fields, "response", required=True))
    author = text_of(fields, "student") or text_of(fields, "student_model") or names.student
    return DraftRationale(STUDENT, author, thought, answer, count_of(fields, "token_count"))
