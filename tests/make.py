"""Plain makers of rows for tests: `make_question(project)`, `make_rationale(question)`."""

from __future__ import annotations

from typing import Any

from curation.models import LanguageModel, Project, Question, Rationale


def make_model(project: Project, name: str = "teacher", **fields: Any) -> LanguageModel:
    fields.setdefault("provider", "imported")
    return LanguageModel.objects.get_or_create(project=project, name=name, defaults=fields)[0]


def make_question(project: Project, text: str = "What is 8 + 3?", **fields: Any) -> Question:
    fields.setdefault("reference_answer", "11")
    return Question.objects.create(project=project, text=text, **fields)


def make_rationale(question: Question, thought: str = "8 + 3 = 11", **fields: Any) -> Rationale:
    fields.setdefault("role", "teacher")
    fields.setdefault("answer", "11")
    if "author_user" not in fields:
        fields.setdefault("author_model", make_model(question.project))
    return Rationale.objects.create(question=question, thought=thought, **fields)
