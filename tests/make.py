"""Plain makers of rows for tests: `make_question(project)`, `make_rationale(question)`."""

from __future__ import annotations

from typing import Any

from curation.models import LanguageModel, Project, Question, Queue, Rationale


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


def make_group(project: Project, texts: int = 4, text: str = "What is 8 + 3?") -> Question:
    """A question with so many rationales, each by a model of its own; the first is right."""
    question = make_question(project, text)
    for n in range(texts):
        model = make_model(project, f"model-{n}")
        answer = "11" if n == 0 else str(11 + n)
        make_rationale(question, f"8 + 3 is {answer}", answer=answer, author_model=model)
    return question


def make_queue(project: Project, **fields: Any) -> Queue:
    """A queue over all that matches, filled."""
    from curation.queues.contents import fill

    fields.setdefault("name", "First look")
    queue = Queue.objects.create(project=project, **fields)
    fill(queue)
    return queue
