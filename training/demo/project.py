"""The demo as rows: its questions through the importer, its two checkpoints as models, its people.

Everything here is done by the same deeds as from the pages, and each may be done twice.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator

from django.conf import settings

from curation.ingest.load import Loader
from curation.ingest.plan import Plan, begin
from curation.ingest.readers import Table
from curation.models import LanguageModel, Membership, Project, Provider, User
from training.demo.problems import Problem, demo_problems

SOURCE = "demo problems"
MODELS = {"Demo teacher": "training/demo/teacher", "Demo student": "training/demo/student"}
GUIDELINES = """\
Each question is a short story about numbers; each rationale works it out, one equation a line.

1. **Rank** the rationales. A right answer by right steps comes first; a wrong answer comes last.
   Two that are equally good share a rank.
2. **Accept** what a learner should imitate: every step follows from the story or an earlier step,
   and the answer is right.
3. **Reject** what misreads the story, leaves a step out or miscalculates, and say which.
"""


def add_people() -> dict[str, User]:
    """The demo logins of the settings, by name. A password that was changed stays changed."""
    people = {}
    for name, password, _ in settings.DEMO_LOGINS:
        user, is_new = User.objects.get_or_create(
            username=name, defaults={"first_name": name.capitalize()}
        )
        if is_new:
            user.set_password(password)
            user.save(update_fields=["password"])
        people[name] = user
    return people


def add_members(project: Project, people: dict[str, User]) -> None:
    for name, _, role in settings.DEMO_LOGINS:
        Membership.objects.get_or_create(
            project=project, user=people[name], defaults={"role": role}
        )


def add_questions(project: Project, train: int, test: int) -> None:
    """The first `test` demo problems are held out, the next `train` are learnt from."""
    lines = list(question_lines(demo_problems(test + train), test))
    file = io.BytesIO("\n".join(lines).encode())
    table = Table(file, "demo.jsonl")
    reading, rows = begin(Plan(file="", name="demo.jsonl", source=SOURCE), table)
    report = Loader(project, reading, uuid.uuid4()).load(rows, lambda report: None)
    assert not report.left_out_total, report.left_out


def question_lines(problems: list[Problem], test: int) -> Iterator[str]:
    for number, problem in enumerate(problems):
        yield json.dumps(
            {
                "id": f"demo-{number:04}",
                "question": problem.question,
                "answer": str(problem.answer),
                "split": "test" if number < test else "train",
            }
        )


def add_models(project: Project) -> tuple[LanguageModel, LanguageModel]:
    """Teacher and student, the two checkpoints of the repository."""
    teacher, student = (
        LanguageModel.objects.get_or_create(
            project=project,
            name=name,
            revision="",
            defaults={"provider": Provider.LOCAL, "uri": uri, "licence": "Apache-2.0"},
        )[0]
        for name, uri in MODELS.items()
    )
    return teacher, student
