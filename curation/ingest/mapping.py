"""A file of unknown shape: somebody says what each field is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from curation.ingest.answers import kind_of, split_answer
from curation.ingest.record import BadRow, Draft, DraftRationale, Names, UnreadableFile
from curation.ingest.shapes import plain
from curation.ingest.shapes.base import count_of, split_of, text_of
from curation.models import AnswerKind

METADATA, IGNORE = "metadata", "ignore"
# What a field may be: role → how a person reads it.
FIELD_ROLES = {
    "question": "Question",
    "reference_answer": "Reference answer",
    "answer_kind": "Kind of answer",
    "human_rationale": "Human rationale",
    "teacher_rationale": "Teacher’s rationale",
    "teacher_answer": "Teacher’s answer",
    "teacher_name": "Teacher’s name",
    "student_rationale": "Student’s rationale",
    "student_answer": "Student’s answer",
    "student_name": "Student’s name",
    "token_count": "Tokens of the rationale",
    "rationales": "List of rationales",
    "split": "Split",
    "source": "Source",
    "external_id": "Identifier",
    METADATA: "Keep as metadata",
    IGNORE: "Leave out",
}
_ONCE = set(FIELD_ROLES) - {METADATA, IGNORE, *(f"{role}_rationale" for role in plain.ROLES)}


@dataclass(frozen=True)
class Mapping:
    """Reads rows by `fields`: {name of the field: role}. It is a shape like the known ones."""

    fields: dict[str, str] = field(default_factory=dict)
    name: str = "mapping"
    words: str = "Fields named by you"
    names: Names = plain.Plain.names
    split: str = ""

    def recognises(self, fields: dict[str, Any]) -> bool:
        return not set(fields).isdisjoint(self.fields)

    def named(self, role: str) -> list[str]:
        """The fields that have this role."""
        return [name for name, given in self.fields.items() if given == role]

    def only(self, role: str) -> str:
        return next(iter(self.named(role)), "")

    def read(self, fields: dict[str, Any], names: Names) -> Draft:
        worked, reference = self._reference(fields)
        kind = text_of(fields, self.only("answer_kind")) or kind_of(reference)
        if kind not in AnswerKind.values:
            raise BadRow(self.only("answer_kind"), f"is {kind!r}, which is no kind of answer")
        rationales = [DraftRationale("human", names.human, worked, reference)] if worked else []
        for role in plain.ROLES:
            rationales += self._texts(fields, role, reference, names)
        if listed := self.only("rationales"):
            rationales += plain.rationales(fields, listed, reference, names)
        return Draft(
            text=text_of(fields, self.only("question"), required=True),
            reference_answer=reference,
            answer_kind=kind,
            external_id=text_of(fields, self.only("external_id")),
            split=split_of(fields, self.only("split")),
            source=text_of(fields, self.only("source")),
            metadata={name: fields[name] for name in self.named(METADATA) if name in fields},
            rationales=tuple(rationales),
        )

    def _reference(self, fields: dict[str, Any]) -> tuple[str, str]:
        """A reference answer that ends in `#### 72` is a human solution as well."""
        given = text_of(fields, self.only("reference_answer"))
        return split_answer(given) if "####" in given else ("", given)

    def _texts(
        self, fields: dict[str, Any], role: str, reference: str, names: Names
    ) -> list[DraftRationale]:
        """The rationales of one role. Of several fields each is put down to its own name."""
        texts = self.named(f"{role}_rationale")
        named = text_of(fields, self.only(f"{role}_name"))
        said = text_of(fields, self.only(f"{role}_answer"))
        tokens = count_of(fields, self.only("token_count")) if len(texts) == 1 else None
        drafts = []
        for name in texts:
            thought, answer = split_answer(text_of(fields, name))
            answer = said or answer or (reference if role == "human" else "")
            author = name if len(texts) > 1 else named or getattr(names, role)
            if thought or (answer and answer != reference):
                drafts.append(DraftRationale(role, author, thought, answer, tokens))
        return drafts


def checked(fields: dict[str, str]) -> Mapping:
    """The mapping, or UnreadableFile with the sentence that says what is wrong with it."""
    unknown = sorted(set(fields.values()) - set(FIELD_ROLES))
    if unknown:
        raise UnreadableFile(
            f"The mapping names {unknown[0]!r}, which no field can be. "
            f"A field can be: {', '.join(FIELD_ROLES)}."
        )
    mapping = Mapping(fields)
    if not mapping.only("question"):
        raise UnreadableFile("Say which field holds the question.")
    doubled = [role for role in FIELD_ROLES if role in _ONCE and len(mapping.named(role)) > 1]
    if doubled:
        names = " and ".join(mapping.named(doubled[0]))
        raise UnreadableFile(f"Only one field can be “{FIELD_ROLES[doubled[0]]}”, not {names}.")
    return mapping


def from_file(text: str) -> Mapping:
    """The mapping of `--mapping FILE.json`: {"field": "role", …}."""
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise UnreadableFile(f"The mapping is not JSON: {error}.") from error
    if not isinstance(fields, dict) or not all(isinstance(role, str) for role in fields.values()):
        raise UnreadableFile('The mapping must be an object: {"field": "role", …}.')
    return checked(fields)


_ALIASES = {
    "question": plain.QUESTION,
    "reference_answer": plain.ANSWER,
    "rationales": ("rationales", "solutions", "generations"),
    "teacher_rationale": ("teacher_cot", "cot", "rationale", "solution", "reasoning", "thought"),
    "teacher_name": plain.AUTHOR,
    "student_rationale": ("response", "student_response", "completion"),
    "external_id": ("id", "external_id", "uuid"),
    "split": ("split",),
    "source": ("source", "dataset"),
    "token_count": ("token_count",),
}


def guessed(names: list[str]) -> dict[str, str]:
    """What each field probably is, by its name; what nobody knows is kept as metadata."""
    guess = dict.fromkeys(names, METADATA)
    for role, aliases in _ALIASES.items():
        found = next((name for alias in aliases for name in names if name.lower() == alias), None)
        if found and guess[found] == METADATA:
            guess[found] = role
    return guess
