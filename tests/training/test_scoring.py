"""Automatic facts are stored once per scorer and version, for every rationale, quickly."""

from __future__ import annotations

import pytest

from curation.ingest.load import Loader
from curation.models import Rationale, Score
from curation.signals import rationales_stored
from tests.make import make_question, make_rationale
from training.launch import launch
from training.scoring import score, unscored
from training.supervise import supervise

pytestmark = pytest.mark.django_db


def value(rationale: Rationale, scorer: str) -> float | None:
    return rationale.scores.get(scorer=scorer).value


def test_right_and_wrong_answers_are_told_apart(project):
    question = make_question(project, "What is 8 + 3?", reference_answer="11")
    right = make_rationale(question, "8 + 3 = 11", answer="11.0")
    wrong = make_rationale(question, "8 + 3 = 12", answer="12")
    silent = make_rationale(question, "8 + 3 is a lot", answer="")
    assert score([right.pk, wrong.pk, silent.pk]) == 3
    assert [value(r, "answer_correct") for r in (right, wrong, silent)] == [1, 0, 0]
    assert right.scores.get(scorer="answer_correct").detail["extracted"] == "11.0"


def test_an_open_question_has_no_right_answer(project):
    question = make_question(project, "Why?", reference_answer="", answer_kind="open")
    rationale = make_rationale(question, "Because.", answer="Because.")
    score([rationale.pk])
    assert value(rationale, "answer_correct") is None


def test_scoring_twice_adds_nothing(project):
    rationale = make_rationale(make_question(project))
    score([rationale.pk])
    before = Score.objects.count()
    score([rationale.pk])
    assert Score.objects.count() == before


def test_lengths_are_the_authors_own_count_or_words(project):
    question = make_question(project)
    counted = make_rationale(question, "8 + 3 = 11", token_count=40)
    guessed = make_rationale(question, "8 + 3 = 11, so 11", answer="11")
    score([counted.pk, guessed.pk])
    assert value(counted, "tokens") == 40
    assert value(guessed, "tokens") == 9  # 8 + 3 = 11 , so 11 / 11


def test_an_import_is_scored_though_no_worker_can_be_told(project):
    rationale = make_rationale(make_question(project))
    rationales_stored.send(sender=Loader, project=project, rationale_ids=[rationale.pk], batch=None)
    assert value(rationale, "answer_correct") == 1


def test_whoever_stores_rationales_gets_them_scored(project):
    rationale = make_rationale(make_question(project))
    rationales_stored.send(
        sender=Rationale, project=project, rationale_ids=[rationale.pk], batch=None
    )
    assert value(rationale, "answer_correct") == 1


@pytest.mark.django_db(transaction=True)
def test_a_score_run_takes_what_lacks_a_score(project):
    question = make_question(project)
    make_rationale(question, "8 + 3 = 11")
    score([make_rationale(question, "3 + 8 = 11").pk])
    run = launch(project, "score", enqueue=False)
    assert supervise(run.pk, "tester", enqueue=False) == "done"
    run.refresh_from_db()
    assert run.result == {"scored": 1}
    assert not unscored(Rationale.objects.all()).exists()
