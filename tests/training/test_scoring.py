"""Automatic facts are stored once per scorer and version, for every rationale, quickly."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from celery import current_app
from django.db.models import F

from curation.ingest.load import Loader
from curation.models import Rationale, Score
from curation.signals import rationales_stored
from tests.make import make_question, make_rationale
from training.models import Scored
from training.rewards import reward_functions
from training.runs import workers
from training.runs.launch import launch
from training.runs.scoring import SETTLED, score, tell_of_the_unscored, unscored
from training.runs.supervise import supervise

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


@pytest.mark.filterwarnings("ignore:The reward")
@pytest.mark.parametrize(
    ("raised", "fault"), [(RecursionError(), "errors"), (TimeoutError(), "timeouts")]
)
def test_a_scorer_that_fails_on_one_text_keeps_no_other_from_its_scores(
    project, monkeypatch, raised, fault
):
    """And is not asked again each minute: that it failed is what is stored."""
    question = make_question(project)
    odd, plain = make_rationale(question, "8 + 3 = 11 ⚠"), make_rationale(question, "8 + 3 = 11")
    scorers = reward_functions()
    usual = scorers["valid_steps"]

    def failing(record, sample):
        if "⚠" in sample.thought:
            raise raised
        return usual(record, sample)

    monkeypatch.setitem(scorers, "valid_steps", failing)
    assert score([odd.pk, plain.pk]) == 2
    assert (value(odd, "valid_steps"), value(plain, "valid_steps")) == (None, 1)
    assert odd.scores.get(scorer="valid_steps").detail == {"fault": fault}
    assert value(odd, "answer_correct") == 1
    assert not unscored(Rationale.objects.all()).exists()


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


@pytest.fixture
def working_broker(broker, monkeypatch) -> None:
    monkeypatch.setitem(current_app.conf, "broker_url", broker)
    while not workers.queue_lengths():  # it has just been started
        time.sleep(0.1)


def minutes_later() -> int:
    """The clock's next call, after a while."""
    Scored.objects.update(seen_at=F("seen_at") - SETTLED - timedelta(seconds=1))
    return tell_of_the_unscored()


def messages() -> list[list[int]]:
    """What the queue holds; taken out of it, as a worker does, or as what is lost."""
    taken = []
    with current_app.connection_for_read() as connection:
        queue = connection.SimpleQueue("cpu")
        while workers.queue_lengths()["cpu"]:
            message = queue.get(block=False)
            message.ack()
            taken.append(message.payload[0][0])
    return taken


@pytest.mark.usefixtures("working_broker")
def test_what_a_lost_message_left_unscored_is_scored_all_the_same(project):
    question = make_question(project)
    stored = [make_rationale(question, f"8 + 3 = {n}") for n in range(3)]
    score([stored[0].pk])
    pks = [one.pk for one in stored]
    rationales_stored.send(sender=Loader, project=project, rationale_ids=pks, batch=None)
    assert messages() == [pks], "and now it is lost"
    assert tell_of_the_unscored() == 0, "its message may be under way"
    assert minutes_later() == 0, "these are the newest"
    assert minutes_later() == 2
    assert minutes_later() == 0, "a message waits; somebody has only to come"
    for told in messages():
        assert told == pks[1:], "what is scored is not scored again"
        score(told)
    assert not unscored(Rationale.objects.all()).exists()
    assert minutes_later() == 0
    assert Scored.objects.get().up_to == max(pks)


@pytest.mark.usefixtures("working_broker")
def test_a_message_that_is_lost_again_is_sent_again(project):
    pk = make_rationale(make_question(project)).pk
    assert [tell_of_the_unscored(), minutes_later(), minutes_later()] == [0, 0, 1]
    assert messages() == [[pk]]
    assert (minutes_later(), messages()) == (1, [[pk]])


@pytest.mark.usefixtures("working_broker")
def test_what_was_found_whole_is_not_read_again(project, django_assert_num_queries):
    score([make_rationale(make_question(project)).pk])
    assert [tell_of_the_unscored(), minutes_later(), minutes_later()] == [0, 0, 0]
    mark = Scored.objects.get()
    assert mark.up_to == mark.seen
    with django_assert_num_queries(2):  # the row, and the row if it is old enough
        tell_of_the_unscored()


def test_nothing_is_told_of_while_no_broker_answers(project):
    make_rationale(make_question(project))
    assert [tell_of_the_unscored(), minutes_later(), minutes_later()] == [0, 0, 0]
