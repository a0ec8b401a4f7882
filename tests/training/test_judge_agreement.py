"""A judge against people: the sums by hand, whose rankings count, and the page that shows them."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from django.urls import reverse

from curation.models import Score
from curation.review.judging import rank
from tests.make import make_model, make_question, make_rationale
from training.experiments import figures
from training.models import RunStatus
from training.reports.judge_agreement import agreement, agreement_with_people
from training.runs.judge_runs import store_verdicts
from training.runs.launch import launch

VERSION = "rating 0123456789ab"


def test_the_sums_by_hand():
    """Question 1: the judge turns one of three pairs. Question 2: it ties the only pair."""
    judge = {1: {10: 1, 11: 2, 12: 3}, 2: {20: 1, 21: 1}}
    people = {1: [{10: 1, 11: 3, 12: 2}], 2: [{20: 1, 21: 2}]}
    lengths = {10: 50, 11: 40, 12: 60, 20: 5, 21: 9}
    found = agreement(judge, people, lengths)
    assert found.tau.value == pytest.approx(
        1 / 3
    )  # of question 1 alone: the tie leaves 2 undefined
    assert (found.questions, found.tau.n) == (1, 1)
    assert (found.accuracy.value, found.accuracy.n) == (2.5 / 4, 4)
    # 10 before 11 is the longer first; 10 and 11 before 12 are not.
    assert (found.longer.value, found.longer.n) == (pytest.approx(1 / 3), 3)
    # Of people: 10 before 11 and 12 before 11; 10 before 12 and 20 before 21 are not.
    assert found.longer_people.value == 2 / 4


def test_a_judge_that_says_the_same_agrees_wholly_and_its_reverse_not_at_all():
    people = {n: [{1: 1, 2: 2, 3: 3}, {1: 1, 2: 2}] for n in range(8)}
    same = agreement({n: {1: 1, 2: 2, 3: 3} for n in people}, people, {})
    turned = agreement({n: {1: 3, 2: 2, 3: 1} for n in people}, people, {})
    assert (same.tau.value, same.accuracy.value) == (1, 1)
    assert (same.tau.low, same.tau.high, same.questions, same.tau.n) == (1, 1, 8, 16)
    assert (turned.tau.value, turned.accuracy.value) == (-1, 0)


def test_nothing_in_common_is_no_figure():
    found = agreement({}, {}, {})
    assert (found.tau.value, found.accuracy.value, found.questions) == (None, None, 0)


def test_tau_counts_each_person_on_each_question_on_both_pages():
    """Two people rank question 1 as the judge does, one ranks question 2 the other way round:
    (1 + 1 - 1) / 3, not the (1 - 1) / 2 of questions alike."""
    people = {1: [{10: 1, 11: 2}, {10: 1, 11: 3}], 2: [{20: 1, 21: 2}], 3: [{30: 1, 31: 2}]}
    ratings = {10: 9.0, 11: 2.0, 20: 1.0, 21: 8.0, 30: 5.0, 31: 5.0}  # a tie says nothing
    ranks = {q: {pk: -ratings[pk] for pk in said[0]} for q, said in people.items()}
    of_judge = agreement(ranks, people, {}).tau
    assert (of_judge.value, of_judge.n) == (pytest.approx(1 / 3), 3)
    assert of_judge.low <= of_judge.value <= of_judge.high
    assert figures.agreement(people, ratings) == asdict(of_judge)
    assert figures.agreement({3: people[3]}, ratings) is None


@pytest.fixture
def judge(project):
    prices = {"prompt": 1, "completion": 1, "currency": "EUR"}
    uri = "http://127.0.0.1:1/v1"
    return make_model(project, "m", provider="openai", uri=uri, prices=prices)


@pytest.fixture
def judged(project, judge, annotator, second_annotator):
    """Three questions; people put the first before the second, the judge errs on the last."""
    questions = [make_question(project, f"What is 8 + {number}?") for number in range(3)]
    run = launch(project, "judge", student=judge, name="First try", enqueue=False)
    for number, question in enumerate(questions):
        good = make_rationale(question, "good and long", seed=1)
        bad = make_rationale(question, "bad", seed=2)
        for person in (annotator, second_annotator):
            rank(question, person, {good.pk: 1, bad.pk: 2})
        ratings = {good.pk: 9.0, bad.pk: 2.0 if number < 2 else 10.0}
        store_verdicts(run, [line_of(question, ratings)])
    result = {
        "version": VERSION,
        "prompt": "Judge <em>this</em>: {rationale}",
        "usage": {"prompt": 900_000, "completion": 100_000},
        "prices": judge.prices,
    }
    type(run).objects.filter(pk=run.pk).update(status=RunStatus.DONE, result=result)
    return questions


def line_of(question, ratings: dict[int, float]) -> dict:
    said = [{"text": "#### 9", "verdict": 9, "fault": None}]
    return {
        "question": str(question.pk),
        "version": VERSION,
        "rationales": [str(pk) for pk in ratings],
        "asked": 4,
        "parsed": 3,
        "shown": [str(pk) for pk in ratings],
        "pairs": {"pairs": 1, "consistent": 1, "inconsistent": 0, "incomplete": 0,
                  "first_won": 1, "second_won": 1},
        "ratings": {
            str(pk): {"rating": value, "prompt": "asked", "said": said}
            for pk, value in ratings.items()
        },
    }  # fmt: skip


def test_a_judge_is_held_against_each_person_on_each_question(project, judge, judged):
    found = agreement_with_people(project, judge)
    assert found.tau.value == pytest.approx(1 / 3)
    assert (found.questions, found.tau.n, found.accuracy.n) == (3, 6, 6)
    assert found.accuracy.value == pytest.approx(2 / 3)
    first = agreement_with_people(project, judge, [judged[0].pk, judged[1].pk])
    assert (first.tau.value, first.questions) == (1, 2)
    assert agreement_with_people(project, judge, []).questions == 0


def test_what_it_said_by_another_prompt_is_another_judge(project, judge, judged):
    by_version = agreement_with_people(project, judge, version=VERSION)
    assert by_version == agreement_with_people(project, judge)
    assert agreement_with_people(project, judge, version="rating ffff").questions == 0
    rationale = judged[2].rationales.get(thought="bad")
    Score.objects.create(
        rationale=rationale, scorer="judge_rating", scorer_version="rating ffff", model=judge,
        value=1.0,
    )  # fmt: skip
    assert agreement_with_people(project, judge).tau.value == 1
    assert agreement_with_people(project, judge, version=VERSION) == by_version


def test_another_model_is_nobody_to_agree_with(project, judge, judged):
    other = make_model(project, "another judge", provider="openai", uri="http://127.0.0.1:1/v1")
    question = make_question(project, "What is 9 + 9?")
    one, two = make_rationale(question, "one", seed=1), make_rationale(question, "two", seed=2)
    rank(question, judge, {one.pk: 1, two.pk: 2})
    rank(question, other, {one.pk: 1, two.pk: 2})
    assert agreement_with_people(project, other).questions == 0


def test_the_page_lists_judges_with_all_that_speaks_for_and_against_them(client, viewer, judged):
    client.force_login(viewer)
    page = client.get(reverse("judges", args=["orchard"])).content.decode()
    assert "0.33" in page
    assert "67" in page
    assert "1.00 EUR" in page
    assert "25.0" in page  # a quarter of the replies had no verdict
    assert "Judge &lt;em&gt;this&lt;/em&gt;" in page
    assert "First try" in page
    assert "Ask a judge" not in page


def test_an_empty_page_says_what_to_do(client, researcher, project):
    client.force_login(researcher)
    page = client.get(reverse("judges", args=["orchard"])).content.decode()
    assert "No judge yet" in page
    assert "?kind=judge" in page


def test_more_verdicts_cost_no_more_queries(
    client, viewer, judged, project, judge, django_assert_max_num_queries
):
    client.force_login(viewer)
    with django_assert_max_num_queries(30):
        client.get(reverse("judges", args=["orchard"]))


def test_the_form_asks_for_a_judge_and_a_rubric(client, researcher, project, judge):
    make_question(project)
    client.force_login(researcher)
    url = reverse("run-new", args=["orchard"])
    page = client.get(url, {"kind": "judge"}).content.decode()
    assert "What makes a rationale good" in page
    assert '<textarea name="rubric"' in page
    assert "Dataset version" not in page
    assert "The paper: 0" not in page
    form = {"kind": "judge", "student": judge.pk, "seed": "0", "host_class": "cpu"}
    form |= {"split": "all", "mode": "pairwise", "roles": ["student"], "style": "auto"}
    answer = client.post(url, form)
    assert answer.status_code == 302
    run = judge.runs.get()
    assert (run.config["mode"], run.config["roles"], run.config["style"]) == (
        "pairwise",
        ["student"],
        "full",
    )


def test_the_same_rubric_from_a_form_is_the_same_judge():
    from training.decoding.judge_plan import RUBRIC, JudgePlan
    from training.decoding.judge_prompts import version

    sent = JudgePlan(rubric=RUBRIC.replace("\n", "\r\n") + "\r\n")
    assert version(sent) == version(JudgePlan())
