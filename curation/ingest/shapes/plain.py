"""Plain rows: a question, perhaps its answer, perhaps one or several rationales.

Fields go by many names; the first of each list that a row has is taken. What is left over becomes
the question's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from curation.ingest.answers import kind_of, split_answer
from curation.ingest.record import HUMAN, STUDENT, TEACHER, BadRow, Draft, DraftRationale, Names
from curation.ingest.shapes.base import count_of, split_of, text_of
from curation.models import AnswerKind

QUESTION = ("question", "problem", "prompt", "instruction", "query", "input")
ANSWER = (
    "reference_answer", "answer", "final_answer", "gold_answer", "gold", "expected_answer",
    "ground_truth", "target", "label", "output",
)  # fmt: skip
RATIONALE = (
    "rationales", "rationale", "solutions", "solution", "generations", "thought",
    "chain_of_thought", "cot", "reasoning", "explanation",
)  # fmt: skip
AUTHOR = ("model", "author", "teacher", "generator")
OWN = ("id", "external_id", "split", "source", "answer_kind", "role", "token_count", "metadata")
ROLES = (TEACHER, STUDENT, HUMAN)


class Plain:
    name = "plain"
    words = "Plain rows: a question, its answer, and rationales where there are any"
    names = Names(human="Imported people", teacher="Imported teacher", student="Imported student")
    split = ""

    def recognises(self, fields: dict[str, Any]) -> bool:
        asked = _first(fields, QUESTION)
        return bool(asked and isinstance(fields[asked], str)) and bool(
            _first(fields, ANSWER) or _first(fields, RATIONALE) or len(fields) == 1
        )

    def read(self, fields: dict[str, Any], names: Names) -> Draft:
        asked = _first(fields, QUESTION) or QUESTION[0]
        answered, reasoned = _first(fields, ANSWER), _first(fields, RATIONALE)
        given = text_of(fields, answered) if answered else ""
        worked, reference = split_answer(given) if "####" in given else ("", given)
        found = list(rationales(fields, reasoned, reference, names)) if reasoned else []
        if worked:
            found.insert(0, DraftRationale(HUMAN, names.human, worked, reference))
        kind = text_of(fields, "answer_kind") or kind_of(reference)
        if kind not in AnswerKind.values:
            raise BadRow("answer_kind", f"is {kind!r}; it is one of {', '.join(AnswerKind.values)}")
        used = {asked, answered, reasoned, _first(fields, AUTHOR), *OWN}
        return Draft(
            text=text_of(fields, asked, required=True),
            reference_answer=reference,
            answer_kind=kind,
            external_id=text_of(fields, "external_id") or text_of(fields, "id"),
            split=split_of(fields),
            source=text_of(fields, "source"),
            metadata=_metadata(fields, used),
            rationales=tuple(found),
        )


def _first(fields: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of `names` that the row has a value for; else the first that it has at all."""
    there = [name for name in names if name in fields]
    return next((name for name in there if fields[name] not in (None, "")), next(iter(there), None))


def _metadata(fields: dict[str, Any], used: set[str | None]) -> dict[str, Any]:
    own = fields.get("metadata")
    rest = {name: value for name, value in fields.items() if name not in used and value is not None}
    return {**rest, **own} if isinstance(own, dict) else rest


def rationales(
    fields: dict[str, Any], name: str, reference: str, names: Names
) -> Iterator[DraftRationale]:
    """One text, or a list of texts and of `{text | thought, answer, model, role, token_count}`.

    A single text without an answer of its own explains the row's answer. Several texts are left
    without one: nobody says that each of them came to it.
    """
    value = _unfolded(fields.get(name))
    if value in (None, "", []):
        return
    shared = {key: fields[key] for key in (*AUTHOR, "role", "token_count") if key in fields}
    items = value if isinstance(value, list) else [value]
    alone = not isinstance(value, list)
    for place, item in enumerate(items, start=1):
        where = name if alone else f"{name}[{place}]"
        own = {"text": item} if isinstance(item, str) else item
        if not isinstance(own, dict):
            raise BadRow(where, f"holds {type(item).__name__}, not text")
        yield _one(where, {**shared, **own}, reference if alone else "", names)


def _unfolded(value: Any) -> Any:
    """A CSV cell may hold a list as JSON."""
    if isinstance(value, str) and value.lstrip()[:2] in ('["', "[{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _one(where: str, item: dict[str, Any], fallback: str, names: Names) -> DraftRationale:
    try:
        said = _first(item, ("thought", "text", "rationale", "solution", "content")) or "text"
        thought, answer = split_answer(text_of(item, said))
        answer = text_of(item, "answer") or answer or fallback
        author = text_of(item, _first(item, AUTHOR) or AUTHOR[0])
        role = text_of(item, "role").lower() or (TEACHER if author else HUMAN)
        tokens = count_of(item, "token_count")
    except BadRow as error:
        raise BadRow(f"{where}.{error.field}", error.reason) from error
    if role not in ROLES:
        raise BadRow(f"{where}.role", f"is {role!r}; a role is {', '.join(ROLES)}")
    if not thought and not answer:
        raise BadRow(where, "says nothing")
    return DraftRationale(role, author or getattr(names, role), thought, answer, tokens)
