"""What a run wrote lately: the completions at the end of its samples.jsonl, grouped by question."""

from __future__ import annotations

from typing import Any

from curation.models import Question
from training.models import Run
from training.runs.folders import read_rows

SHOWN = 24


def samples_of(run: Run) -> list[dict[str, Any]]:
    """The newest completions, newest first, each with its question's text and reference."""
    rows = read_rows(run, "samples.jsonl")[-SHOWN:][::-1]
    ids = {int(row["question"]) for row in rows if str(row["question"]).isdigit()}
    found = Question.objects.filter(project_id=run.project_id, pk__in=ids)
    questions = {str(question.pk): question for question in found}
    return [{**row, "asked": questions.get(str(row["question"]))} for row in rows]
