"""GSM8K's `example_model_solutions`: a question, its ground truth, and several models' solutions.

Every key whose value is `{"is_correct": …, "solution": …}` names a model. The ground truth is the
published human solution with `A: 18` for `#### 18`, so it is the same rationale as that one.
The published file is about the test questions.
"""

from __future__ import annotations

from typing import Any

from curation.ingest.answers import kind_of, split_answer
from curation.ingest.record import HUMAN, TEACHER, BadRow, Draft, DraftRationale, Names
from curation.ingest.shapes.base import split_of, text_of
from curation.ingest.shapes.gsm8k import AUTHORS
from curation.models import Split


class ModelSolutions:
    name = "model_solutions"
    words = (
        "GSM8K’s example model solutions: a question, its ground truth, several models’ solutions"
    )
    names = Names(human=AUTHORS)
    split = Split.TEST

    def recognises(self, fields: dict[str, Any]) -> bool:
        return "question" in fields and "ground_truth" in fields and bool(_models(fields))

    def read(self, fields: dict[str, Any], names: Names) -> Draft:
        question = text_of(fields, "question", required=True)
        thought, answer = split_answer(text_of(fields, "ground_truth", required=True))
        if not answer:
            raise BadRow("ground_truth", "does not end with “A: ” and the final answer")
        human = DraftRationale(HUMAN, names.human, thought, answer)
        return Draft(
            text=question,
            reference_answer=answer,
            answer_kind=kind_of(answer),
            external_id=text_of(fields, "id"),
            split=split_of(fields),
            source=text_of(fields, "source"),
            rationales=(human, *(_solution(fields, model) for model in _models(fields))),
        )


def _models(fields: dict[str, Any]) -> list[str]:
    """The keys that hold a model's solution, in the order of the row."""
    return [
        name
        for name, value in fields.items()
        if isinstance(value, dict) and {"is_correct", "solution"} <= set(value)
    ]


def _solution(fields: dict[str, Any], model: str) -> DraftRationale:
    try:
        thought, answer = split_answer(text_of(fields[model], "solution", required=True))
    except BadRow as error:
        raise BadRow(f"{model}.{error.field}", error.reason) from error
    return DraftRationale(TEACHER, model, thought, answer)
