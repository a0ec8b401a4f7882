"""GSM8K as published: `question`, and `answer` whose last line is `#### 72`.

Calculator marks (`<<48/2=24>>`) stay in the text. Source: Cobbe et al. 2021.
"""

from __future__ import annotations

from typing import Any

from curation.ingest.answers import kind_of, split_answer
from curation.ingest.record import HUMAN, BadRow, Draft, DraftRationale, Names
from curation.ingest.shapes.base import split_of, text_of

AUTHORS = "GSM8K authors"


class Gsm8k:
    name = "gsm8k"
    words = "GSM8K as published: a question, and a human solution that ends in “#### 72”"
    names = Names(human=AUTHORS)
    split = ""

    def recognises(self, fields: dict[str, Any]) -> bool:
        answer = fields.get("answer")
        known = set(fields) <= {"question", "answer", "id", "idx", "split", "source"}
        return known and "question" in fields and isinstance(answer, str) and "\n####" in answer

    def read(self, fields: dict[str, Any], names: Names) -> Draft:
        question = text_of(fields, "question", required=True)
        solution = text_of(fields, "answer", required=True)
        thought, answer = split_answer(solution)
        if not answer:
            raise BadRow("answer", "does not end with “#### ” and the final answer")
        return Draft(
            text=question,
            reference_answer=answer,
            answer_kind=kind_of(answer),
            external_id=text_of(fields, "id"),
            split=split_of(fields),
            source=text_of(fields, "source"),
            rationales=(DraftRationale(HUMAN, names.human, thought, answer),),
        )
