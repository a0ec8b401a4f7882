"""The loader: a project of a given size, through COPY, in the order in which it would have grown.

Constraints hold and triggers write their history as for any other row. What the application keeps
beside the rows (the counters of queues, the words of rationales) is written with them, and
`check` compares it with a fresh count.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.test import Client
from django.utils.crypto import get_random_string

from benchmarks._load.copying import copy, reserve
from benchmarks._load.judged import judge
from benchmarks._load.sizes import Size
from benchmarks._load.texts import Texts
from curation.browsing import words
from curation.models import (
    LanguageModel,
    Membership,
    Project,
    Question,
    Queue,
    Rationale,
    Score,
    User,
)
from curation.models.question import text_hash
from curation.models.rationale import content_hash, draw_key
from curation.queues.counters import recount

PASSWORD = "quince-and-medlar"
SPLITS = (*["train"] * 18, "validation", "test")
GIN = "the_words_of_rationales"

Tell = Callable[[str], None]


def load(size: Size, slug: str, texts: Texts, tell: Tell = print) -> tuple[Project, list[Any]]:
    """A project with everything that `size` says; what was done with how many rows in how many
    seconds."""
    done = []

    def timed(what: str, deed: Callable[[], int]) -> None:
        began = time.perf_counter()
        with transaction.atomic():
            constraints_at_once()
            rows = deed()
        seconds = round(time.perf_counter() - began, 1)
        done.append({"what": what, "rows": rows, "seconds": seconds})
        tell(f"{rows:>10,} {what} in {seconds:,.1f} s")

    project = Project.objects.create(slug=slug, name=f"{size.questions:,} questions")
    people = members(project, "judge", size.people)
    asked: list[tuple[int, str]] = []
    teachers = models(project, "teacher", size.teachers)
    students = models(project, "student", size.rounds)
    timed("questions", lambda: _questions(project, size, texts, asked))
    written = reserve(Rationale, size.by_teachers)
    drawn = reserve(Rationale, size.by_students)
    timed("teacher rationales", lambda: _taught(size, texts, asked, teachers, written))
    timed("student samples", lambda: _sampled(size, texts, asked, students, drawn))
    timed("scores", lambda: _scores(size, [*written, *drawn], teachers[0]))
    timed("judgements", lambda: judge(project, size, [pk for pk, _ in asked], written, people))
    timed("words of rationales", _indexed)
    timed("tables analysed", _analysed)
    return project, done


def constraints_at_once() -> None:
    """Checked with each statement. Left to the commit, the checks of a million rows would be gone
    through again with every row that a trigger writes to the history."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def members(project: Project, name: str, count: int, role: str = "annotator") -> list[int]:
    """So many people of the project with one password among them; their keys."""
    password = make_password(PASSWORD)
    names = [f"{name}-{number:03}" for number in range(1, count + 1)]
    made = User.objects.bulk_create(
        [User(username=one, password=password) for one in names], ignore_conflicts=True
    )
    pks = list(User.objects.filter(username__in=[user.username for user in made]).order_by("pk")
               .values_list("pk", flat=True))  # fmt: skip
    Membership.objects.bulk_create(
        [Membership(project=project, user_id=pk, role=role) for pk in pks], ignore_conflicts=True
    )
    return pks


def cookies_of(name: str) -> dict[str, str]:
    """What the browser of somebody who has signed in sends."""
    client = Client()
    client.force_login(User.objects.get(username=name))
    signed_in = client.cookies[settings.SESSION_COOKIE_NAME].value
    return {settings.SESSION_COOKIE_NAME: signed_in, "csrftoken": get_random_string(32)}


def models(project: Project, name: str, count: int) -> list[int]:
    made = [
        LanguageModel.objects.create(project=project, name=f"{name}-{n}", provider="imported")
        for n in range(1, count + 1)
    ]
    return [model.pk for model in made]


def check(project: Project) -> list[str]:
    """Kept figures that are not what counting gives."""
    return [
        f"{queue}: {drift.what} is {drift.kept}, counted {drift.counted}"
        for queue in Queue.objects.filter(project=project)
        for drift in recount(queue, mend=False)
    ]


def _questions(project: Project, size: Size, texts: Texts, asked: list[tuple[int, str]]) -> int:
    """Appends (key, reference answer) of each to `asked`."""
    keys = reserve(Question, size.questions)  # no other query may run while rows are copied

    def rows() -> Iterator[tuple[Any, ...]]:
        for number, pk in enumerate(keys):
            text, answer = texts.question(number)
            split = SPLITS[number % len(SPLITS)]
            asked.append((pk, answer))
            yield (
                pk, project.pk, f"q-{number:06}", text, text_hash(text), answer, split,
                f"file-{number % 7}",
            )  # fmt: skip

    names = ("id", "project_id", "external_id", "text", "text_hash", "reference_answer", "split",
             "source")  # fmt: skip
    return copy(Question, names, rows())


RATIONALE = ("id", "question_id", "role", "author_model_id", "thought", "answer", "sampling",
             "seed", "index", "draw_key", "content_hash", "finish_reason", "token_count",
             "batch")  # fmt: skip


def _rationale(
    texts: Texts, pk: int, asked: tuple[int, str], role: str, author: int, batch: uuid.UUID,
    index: int = 0, seed: int | None = None, sampling: str = "{}",
) -> tuple[Any, ...]:  # fmt: skip
    """A row; two of three answers are right."""
    question, answer = asked
    thought = texts.rationale()
    if texts.random.random() < 1 / 3:
        answer = str(texts.random.randint(2, 2_000))
    said = content_hash(thought, answer)
    key = draw_key(f"model-{author}", "", {}, seed, index, said if seed is None else "")
    return (
        pk, question, role, author, thought, answer, sampling, seed, index, key, said, "stop",
        len(thought) // 4, batch,
    )  # fmt: skip


def _taught(
    size: Size, texts: Texts, asked: list[tuple[int, str]], teachers: list[int], keys: range
) -> int:
    batch, number = uuid.uuid4(), iter(keys)
    rows = (
        _rationale(texts, next(number), one, "teacher", author, batch)
        for one in asked
        for author in teachers
    )
    return copy(Rationale, RATIONALE, rows)


def _sampled(
    size: Size, texts: Texts, asked: list[tuple[int, str]], students: list[int], keys: range
) -> int:
    """Each round another tenth of the questions."""
    number = iter(keys)

    def rows() -> Iterator[tuple[Any, ...]]:
        for n, author in enumerate(students):
            batch = uuid.uuid4()
            start = n * size.sampled % max(len(asked), 1)
            for one in islice([*asked[start:], *asked], size.sampled):
                for index in range(size.samples):
                    yield _rationale(
                        texts, next(number), one, "student", author, batch, index, n,
                        '{"temperature": 1.0}',
                    )  # fmt: skip

    return copy(Rationale, RATIONALE, rows())


def _scores(size: Size, rationales: list[int], judge_model: int) -> int:
    """Whether the answer is right, of every rationale; then a judge's rating of as many as asked
    for."""
    sql = """
        INSERT INTO curation_score
          (rationale_id, scorer, scorer_version, value, detail, created_at)
        SELECT r.id, 'answer_correct', '1', (r.answer = q.reference_answer)::int, '{}', now()
        FROM curation_rationale r JOIN curation_question q ON q.id = r.question_id
        WHERE r.id BETWEEN %s AND %s ORDER BY r.id LIMIT %s"""
    with connection.cursor() as cursor:
        cursor.execute(sql, [min(rationales), max(rationales), size.scores])
        count = cursor.rowcount
    dice = random.Random(2)
    rated = rationales[: size.scores - count]
    rows = ((pk, "judge_rating", "1", judge_model, round(10 * dice.random(), 1)) for pk in rated)
    names = ("rationale_id", "scorer", "scorer_version", "model_id", "value")
    return count + copy(Score, names, rows)


def _indexed() -> int:
    """The words of all rationales, in the way of the worker; their index is built at the end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [GIN])
        (definition,) = cursor.fetchone()
        cursor.execute(f"DROP INDEX {GIN}")
        total = words.index_all()
        cursor.execute("SET LOCAL maintenance_work_mem = '1GB'")
        cursor.execute(definition)
    return total


def _analysed() -> int:
    """The planner learns what is there, as autovacuum would let it know a minute later."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("SELECT count(*) FROM pg_stat_user_tables")
        return int(cursor.fetchone()[0])
