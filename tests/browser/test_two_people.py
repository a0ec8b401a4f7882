"""Two people and an adjudicator, from model solutions to a dataset version, in real browsers.

`python -m benchmarks two_people` plays the same over all 1,319 questions.
"""

from __future__ import annotations

import pytest

from benchmarks._load.browsers import executable
from benchmarks._load.walk import Cast, take_in, walk
from curation.models import Adjudication, Assignment, AssignmentStatus, Ranking, Review
from training.runs import scoring

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
QUESTIONS = 24


@pytest.fixture
def solutions(shared_data):
    file = shared_data / "gsm8k_model_solutions.jsonl"
    if not file.exists():
        pytest.skip(f"{file.name} is not among the real data")
    return file


@pytest.fixture
def cast(project, annotator, second_annotator, researcher) -> Cast:
    return Cast(annotator, second_annotator, researcher, "quince-and-medlar")


@pytest.fixture
def a_browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        try:
            executable(playwright)
        except FileNotFoundError as error:
            pytest.skip(str(error))


def test_two_people_and_an_adjudicator_make_a_version_of_exactly_the_winners(
    a_browser, live_server, project, cast, solutions, monkeypatch
):
    monkeypatch.setattr(scoring, "send", lambda *args, **kwargs: True)
    taken = take_in(project, solutions, QUESTIONS)
    assert taken["imported"] == {"questions": QUESTIONS, "rationales": 5 * QUESTIONS}
    came = walk(live_server.url, project, cast, minutes=10)
    assert came["questions"] == QUESTIONS
    assert [person["judged"] for person in came["people"]] == [QUESTIONS, QUESTIONS]
    assert 0 < came["decided"] == came["disputed"] < QUESTIONS
    assert Adjudication.objects.live().count() == came["decided"]
    assert Ranking.objects.live().count() == 2 * QUESTIONS
    assert Assignment.objects.filter(status=AssignmentStatus.SUBMITTED).count() == 2 * QUESTIONS
    assert Review.objects.filter(decision="accept").exists()
    every, of_decided = came["versions"]
    assert every["winners"] > of_decided["winners"] > 0
