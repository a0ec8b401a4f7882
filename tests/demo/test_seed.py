"""The demo project is made whole, once, and what people do with it stays."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from rich.console import Console

from curation.models import Membership, Project, Question, Queue, Rationale, Score, User
from training.demo import seed
from training.models import Run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(seed, "TRAIN", 12)
    monkeypatch.setattr(seed, "TEST", 4)
    monkeypatch.setattr(seed, "ASKED", 6)


def counts() -> list[int]:
    return [model.objects.count() for model in (User, Membership, Question, Rationale, Queue, Run)]


def test_the_demo_is_made_whole_and_once(small, client):
    call_command("demo")
    project = Project.objects.get(slug="demo")
    assert project.questions.filter(split="test").count() == 4
    drawn = Rationale.objects.filter(question__project=project)
    assert drawn.filter(role="teacher", question__split="train").count() == 6 * 3
    assert drawn.filter(role="teacher", question__split="test").count() == 4
    assert drawn.filter(role="student").count() == 6 * 4
    assert not drawn.filter(role="student", question__split="test").exists()
    right = Score.objects.filter(scorer="answer_correct", value=1)
    assert right.filter(rationale__role="teacher").count() >= 14
    queue = Queue.objects.get()
    assert (queue.items_total, queue.overlap) == (6, 2)
    assert client.login(username="rosa", password="stillroom-demo")
    before = counts()
    call_command("demo")
    assert counts() == before


def test_an_interrupted_seed_goes_on_where_it_was(small):
    people = seed.add_people()
    project = seed.demo_project(people["olga"])
    seed.add_questions(project, 12, 4)
    assert not seed.is_seeded()
    seed.seed(Console(quiet=True))
    assert seed.is_seeded()
    assert Question.objects.count() == 16
    assert Run.objects.count() == 3


def test_a_demo_that_somebody_deleted_stays_deleted(small):
    seed.add_people()
    call_command("demo")
    assert not Project.objects.exists()


def test_a_changed_password_stays_changed(db):
    seed.add_people()["anna"].set_password("x")
    anna = User.objects.get(username="anna")
    anna.set_password("quince-and-medlar")
    anna.save()
    seed.add_people()
    assert User.objects.get(username="anna").check_password("quince-and-medlar")
