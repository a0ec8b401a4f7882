"""Draws become rationales once, scored; evaluations become rows that compare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curation.models import Rationale, Score
from tests.make import make_question, make_rationale
from tests.training.conftest import FAKE
from training.models import Evaluation, Run
from training.runs.launch import launch
from training.runs.supervise import supervise

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def questions(project):
    return [
        make_question(project, f"What is 8 + {n}?", reference_answer=str(8 + n)) for n in (1, 2, 3)
    ]


def see_through(project, kind, student, **config) -> Run:
    run = launch(project, kind, student=student, config=config, enqueue=False)
    status = supervise(run.pk, "tester", command=FAKE, poll=0.05, enqueue=False)
    run.refresh_from_db()
    assert status == "done", run.error
    return run


def test_draws_become_scored_rationales_with_all_that_made_them(project, student, questions):
    run = see_through(project, "generate", student, samples_per_temperature=2)
    drawn = Rationale.objects.filter(batch=run.batch)
    assert drawn.count() == 3 * 3 * 2
    one = drawn.first()
    assert one.thought == "I think at 0.3", "a NUL cannot be stored"
    assert one.prompt_sent == "What is 8 + 1?\n"
    assert one.sampling["temperature"] == 0.3
    assert (one.role, one.author_model, one.seed) == ("teacher", student, 0)
    assert (one.token_ids, one.logprob, one.token_count) == ([5, 6, 7], -1.0, 3)
    assert Score.objects.filter(scorer="answer_correct", value=1).count() == 18


def test_the_same_plan_again_draws_nothing(project, student, questions):
    see_through(project, "generate", student)
    again = see_through(project, "generate", student)
    assert again.result["note"] == "Nothing left to draw."
    assert not (Path(again.folder) / "samples.jsonl").exists()
    make_question(project, "What is 8 + 9?", reference_answer="17")
    grown = see_through(project, "generate", student)
    assert Rationale.objects.filter(batch=grown.batch).count() == 6
    assert Rationale.objects.count() == 4 * 6


def test_another_seed_draws_more(project, student, questions):
    see_through(project, "generate", student)
    run = launch(project, "generate", student=student, seed=1, enqueue=False)
    supervise(run.pk, "tester", command=FAKE, poll=0.05, enqueue=False)
    assert Rationale.objects.count() == 2 * 18


def test_answers_are_drawn_after_teachers_thoughts(project, student, questions):
    thought = make_rationale(questions[0], "8 + 1 = 9", answer="9")
    make_rationale(questions[1], "wrong role", answer="10", role="student")
    config = {"what": "answer_given_thought", "role": "student", "temperatures": [1.0]}
    run = see_through(project, "generate", student, **config)
    answers = Rationale.objects.filter(batch=run.batch, question=questions[0])
    assert {a.conditioned_on for a in answers} == {thought}
    assert {(a.thought, a.answer) for a in answers} == {("", "9")}, "the thought is not its own"


def test_the_scope_narrows_the_questions(project, student, questions):
    make_question(project, "A test one?", split="test", reference_answer="1")
    run = see_through(project, "generate", student, limit=2)
    chosen = set(Rationale.objects.filter(batch=run.batch).values_list("question", flat=True))
    assert len(chosen) == 2
    assert chosen <= {q.pk for q in questions}


def test_the_engine_is_told_its_own_settings_alone(project, student, questions):
    run = see_through(project, "generate", student, limit=2)
    job = json.loads((Path(run.folder) / "run.json").read_text())
    assert "limit" not in job["config"]
    assert job["config"]["temperatures"] == [0.3, 0.5, 0.7]
    assert job["model"].endswith("training/demo/student")


def test_an_endpoint_is_named_with_the_variable_of_its_key(project, questions):
    from curation.models import LanguageModel

    far = LanguageModel.objects.create(
        project=project,
        name="far",
        provider="openai",
        uri="http://localhost:1/v1",
        api_key_variable="STILLROOM_KEY_FAR",
    )
    run = see_through(project, "generate", far)
    job = json.loads((Path(run.folder) / "run.json").read_text())
    assert job["model"] == {
        "provider": "openai",
        "base_url": "http://localhost:1/v1",
        "name": "far",
        "api_key_env": "STILLROOM_KEY_FAR",
    }


def test_an_evaluation_becomes_rows_with_the_hash_of_its_questions(project, student, questions):
    for question in questions:
        make_rationale(question)
    first = see_through(project, "evaluate", student, split="train")
    second = see_through(project, "evaluate", student, split="train")
    fewer = see_through(project, "evaluate", student, split="train", limit=2)
    one, two, three = (Evaluation.objects.get(run=run) for run in (first, second, fewer))
    assert one.summary["accuracy"] == 0.5
    assert (one.questions, one.items.count()) == (3, 6)
    assert one.questions_sha256 == two.questions_sha256 != three.questions_sha256


def test_an_evaluation_without_questions_fails_in_words(project, student, questions):
    run = launch(project, "evaluate", student=student, enqueue=False)
    assert supervise(run.pk, "tester", command=FAKE, poll=0.05, enqueue=False) == "failed"
    run.refresh_from_db()
    assert run.error == "No question of the project fits the chosen scope."
