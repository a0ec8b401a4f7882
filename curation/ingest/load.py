"""Rows into the record, five hundred at a time; what is there already is counted, not doubled.

A question is known by its text, a rationale by its draw key, so an import may be repeated or
resumed at any time. Imports into one project take turns batch by batch (an advisory lock), which
makes "added" and "known" exact. A batch that the database refuses is halved until the one row
that it refuses stands alone.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import IO, Any

from django.db import DataError, IntegrityError, connection, transaction

from curation.ingest import report as notes
from curation.ingest.ahead import read_ahead
from curation.ingest.plan import Reading
from curation.ingest.record import BadRow, Draft, DraftRationale, Row
from curation.ingest.report import Report
from curation.ingest.write import (
    Known,
    NewRationale,
    insert_questions,
    insert_rationales,
    known_questions,
)
from curation.models import LanguageModel, Project, Provider, Question
from curation.signals import rationales_stored

BATCH_ROWS = 500
QUESTION_LIMIT = 100_000  # characters; the full-text index takes no more than a megabyte
TEXT_LIMIT = 1_000_000
NAME_LIMIT = 200
METADATA_LIMIT = 100_000
NESTING_LIMIT = 50
_LOCK = 0x1409  # any number; it only has to be the same in every import

Numbered = tuple[int, Draft]


class Loader:
    """Stores rows of one import. `left_out` receives every row left out as a line of JSON."""

    def __init__(
        self,
        project: Project,
        reading: Reading,
        batch: uuid.UUID,
        left_out: IO[bytes] | None = None,
    ) -> None:
        self.project, self.reading, self.batch, self.left_out = project, reading, batch, left_out
        self.report = Report()
        self._authors: dict[str, int] = {}

    def load(self, rows: Iterable[Row], on_batch: Callable[[Report], None]) -> Report:
        """Store all rows. `on_batch` hears of the report after each batch; it may raise to stop."""
        with closing(read_ahead(self._batches(iter(rows)))) as batches:
            for drafts, done in batches:
                self._store(drafts, done)
                self._count(done)
                on_batch(self.report)
        return self.report

    def _batches(self, rows: Iterator[Row]) -> Iterator[tuple[list[Numbered], Report]]:
        """The drafts of each batch, and what became of its rows so far."""
        while chunk := list(islice(rows, BATCH_ROWS)):
            done = Report(rows=len(chunk))
            yield [*self._read(chunk, done)], done

    def _count(self, done: Report) -> None:
        done.left_out.sort(key=lambda entry: entry["line"])
        if self.left_out:
            for entry in done.left_out:
                self.left_out.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        self.report.add(done)

    def _read(self, chunk: list[Row], done: Report) -> Iterable[Numbered]:
        for row in chunk:
            if row.problem:
                done.leave_out(row.line, "", row.problem)
                continue
            if row.nuls:
                done.note(notes.NUL, row.line, row.nuls)
            try:
                draft = self.reading.draft(row)
                refuse_too_long(draft)
            except BadRow as error:
                done.leave_out(row.line, error.field, error.reason)
            else:
                yield row.line, draft

    def _store(self, drafts: list[Numbered], done: Report) -> None:
        if not drafts:
            return
        for name in {rationale.author for _, draft in drafts for rationale in draft.rationales}:
            self._author(name)
        try:
            with transaction.atomic():
                done.add(self._store_together(drafts))
        except (IntegrityError, DataError) as error:
            if len(drafts) == 1:
                reason = str(error).split("\n", 1)[0]
                done.leave_out(drafts[0][0], "", f"the database refused it: {reason}")
                return
            middle = len(drafts) // 2
            self._store(drafts[:middle], done)
            self._store(drafts[middle:], done)

    def _author(self, name: str) -> int:
        if name not in self._authors:
            model, _ = LanguageModel.objects.get_or_create(
                project=self.project,
                name=name,
                revision="",
                defaults={"provider": Provider.IMPORTED},
            )
            self._authors[name] = model.pk
        return self._authors[name]

    def _store_together(self, drafts: list[Numbered]) -> Report:
        done = Report()
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s, %s)", [_LOCK, self.project.pk])
        questions = self._questions(drafts, done)
        stored = self._rationales(drafts, questions, done)
        if stored:
            transaction.on_commit(lambda: self._announce(stored), robust=True)
        return done

    def _announce(self, stored: list[int]) -> None:
        rationales_stored.send(
            sender=Loader, project=self.project, rationale_ids=stored, batch=self.batch
        )

    def _questions(self, drafts: list[Numbered], done: Report) -> dict[str, Known]:
        """By text hash, of all that are stored now. What could not be stored is left out."""
        found = known_questions(self.project, (draft.text_hash for _, draft in drafts))
        new: dict[str, Question] = {}
        for _, draft in drafts:
            if draft.text_hash not in found:
                new.setdefault(draft.text_hash, self._question(draft))
        added = insert_questions(self.project, [*new.values()]) if new else {}
        for digest, pk in added.items():
            found[digest] = Known(pk, new[digest].split, new[digest].reference_answer)
        if len(added) < len(new):  # somebody else was faster, or an identifier was taken
            found |= known_questions(self.project, new.keys() - added.keys())
        self._tally(drafts, found, set(added), done)
        return found

    def _tally(
        self, drafts: list[Numbered], found: dict[str, Known], added: set[str], done: Report
    ) -> None:
        for line, draft in drafts:
            digest = draft.text_hash
            if digest in added:
                added.remove(digest)
                done.questions_added += 1
            elif digest in found:
                done.questions_known += 1
                self._compare(found[digest], line, draft, done)
            else:
                reason = f"{draft.external_id!r} already names another question"
                done.leave_out(line, "external_id", reason)

    def _question(self, draft: Draft) -> Question:
        return Question(
            external_id=draft.external_id or draft.text_hash[:16],
            text=draft.text,
            text_hash=draft.text_hash,
            reference_answer=draft.reference_answer,
            answer_kind=draft.answer_kind,
            split=self.reading.split_of(draft),
            source=draft.source or self.reading.source,
            metadata=draft.metadata,
        )

    def _compare(self, known: Known, line: int, draft: Draft, done: Report) -> None:
        """A known question keeps what it has; only a missing reference answer is filled in."""
        if known.split != self.reading.split_of(draft):
            done.counted[notes.OTHER_SPLIT] += 1
        if not draft.reference_answer:
            return
        if not known.reference_answer:
            known.reference_answer = draft.reference_answer
            Question.objects.filter(pk=known.pk, reference_answer="").update(
                reference_answer=draft.reference_answer, answer_kind=draft.answer_kind
            )
            done.counted[notes.FILLED] += 1
        elif _bare(known.reference_answer) != _bare(draft.reference_answer):
            done.note(notes.OTHER_ANSWER, line)

    def _rationales(
        self, drafts: list[Numbered], questions: dict[str, Known], done: Report
    ) -> list[int]:
        """Store those that are new; return their ids."""
        rationales = [
            self._rationale(questions[draft.text_hash].pk, said)
            for _, draft in drafts
            if draft.text_hash in questions
            for said in draft.rationales
        ]
        stored = insert_rationales(self.batch, rationales) if rationales else []
        done.rationales_added += len(stored)
        done.rationales_known += len(rationales) - len(stored)
        if without := sum(not rationale.answer for rationale in rationales):
            done.counted[notes.NO_ANSWER] += without
        return stored

    def _rationale(self, question: int, said: DraftRationale) -> NewRationale:
        author = self._author(said.author)
        return NewRationale.of(
            question, author, said.role, said.thought, said.answer, said.token_count
        )


def _bare(answer: str) -> str:
    """An answer without the signs that two files may write differently: 1,000 and $1000."""
    return answer.replace(",", "").replace("$", "").rstrip(".").casefold().strip()


def refuse_too_long(draft: Draft) -> None:
    """Raise BadRow for a text that is longer than the record takes."""
    _bounded("question", draft.text, QUESTION_LIMIT)
    _bounded("reference_answer", draft.reference_answer, QUESTION_LIMIT)
    _bounded("external_id", draft.external_id, NAME_LIMIT)
    _bounded("source", draft.source, NAME_LIMIT)
    if draft.metadata:
        if nested_beyond(draft.metadata, NESTING_LIMIT):
            raise BadRow("metadata", f"is nested more than {NESTING_LIMIT} levels deep")
        _bounded("metadata", json.dumps(draft.metadata, default=str), METADATA_LIMIT)
    for rationale in draft.rationales:
        _bounded("the name of a model", rationale.author, NAME_LIMIT)
        _bounded(f"the rationale of {rationale.author}", rationale.thought, TEXT_LIMIT)
        _bounded(f"the answer of {rationale.author}", rationale.answer, QUESTION_LIMIT)


def nested_beyond(value: Any, levels: int) -> bool:
    """Whether lists and objects lie within each other more than so many levels deep."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return levels == 0 or any(nested_beyond(item, levels - 1) for item in value)


def _bounded(name: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise BadRow(name, f"is {len(text):,} characters long; at most {limit:,} are taken")
