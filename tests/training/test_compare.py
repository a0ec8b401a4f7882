"""Runs beside each other: what differs, paired differences by hand, and the page."""

from __future__ import annotations

import csv

import pytest
from django.urls import reverse

from training.models import Evaluation, EvaluationItem, Metric, ProbeAnswer, Run
from training.reports.runs_beside import (
    curves_beside,
    evaluation_of,
    figures,
    samples_beside,
    settings_beside,
    table_of,
)
from training.runs.launch import launch

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair(project, version, student) -> list[Run]:
    """Two runs that differ in one setting and in their seeds."""
    frame = {"method": "sft", "dataset": version, "student": student, "enqueue": False}
    return [
        launch(project, "train", config={"epochs": epochs}, seed=seed, name=name, **frame)
        for epochs, seed, name in ((3, 0, "short"), (6, 1, "long"))
    ]


def test_what_differs_is_apart_from_what_does_not(pair):
    differing, same = settings_beside(pair)
    assert {row.name: row.values for row in differing} == {
        "seed": ["0", "1"],
        "epochs": ["3", "6"],
    }
    assert "learning_rate" in {row.name for row in same}


def test_runs_of_unlike_methods_show_what_only_one_has(project, version, student, pair):
    frame = {"dataset": version, "student": student, "enqueue": False}
    other = launch(project, "train", method="grpo", **frame)
    differing, _ = settings_beside([pair[0], other])
    row = next(row for row in differing if row.name == "group_size")
    assert row.values[0] is None
    assert row.values[1] is not None


def test_curves_by_step_and_by_seconds_of_work(pair):
    for run, pace in zip(pair, (2.0, 0.5), strict=True):
        for step in (1, 2):
            Metric.objects.create(run=run, step=step, name="loss", value=1 / step)
            Metric.objects.create(run=run, step=step, name="seconds", value=pace)
    assert [row["x"] for row in curves_beside(pair, "loss", False)] == [[1, 2], [1, 2]]
    assert [row["x"] for row in curves_beside(pair, "loss", True)] == [[2.0, 4.0], [0.5, 1.0]]
    assert curves_beside(pair, "alchemy", False) == []


def test_a_paired_difference_by_hand():
    """Of four shared questions the second is right in one more: 1/4. The fifth is not shared."""
    first = {1: 1.0, 2: 0.0, 3: 1.0, 4: 0.0, 5: 1.0}
    second = {1: 1.0, 2: 1.0, 3: 1.0, 4: 0.0}
    one, other = figures([first, second])
    assert (one.value, one.difference) == (0.6, None)
    assert (other.value, other.difference, other.shared) == (0.75, 0.25, 4)
    assert other.difference_low == 0.0
    assert not other.is_sure


def test_pairing_sees_what_two_intervals_do_not():
    """Right in every tenth question more, always the same ones: sure, though the intervals meet."""
    first = {n: float(n % 2) for n in range(100)}
    second = {n: 1.0 if n % 10 == 0 else float(n % 2) for n in range(100)}
    one, other = figures([first, second])
    assert other.low is not None
    assert one.high is not None
    assert other.low < one.high
    assert other.difference == pytest.approx(0.1)
    assert other.is_sure


def test_a_run_without_an_evaluation_has_no_figure():
    one, other = figures([{}, {1: 1.0}])
    assert one.value is None
    assert (other.value, other.difference) == (1.0, None)


@pytest.fixture
def evaluated(project, version, student) -> list[Run]:
    """Two evaluations of the same two questions; the second is right once more."""
    made = []
    for rights in ((True, False), (True, True)):
        run = Run.objects.create(
            project=project, kind="evaluate", student=student, config={"split": "test"}
        )
        evaluation = Evaluation.objects.create(run=run, model=student, split="test", questions=2)
        for question, right in zip(project.questions.order_by("id"), rights, strict=True):
            for index, correct in ((0, right), (1, True)):
                EvaluationItem.objects.create(
                    evaluation=evaluation, question=question, index=index, correct=correct,
                    thought="8 + 1 = 9", answer="9", valid_steps=1.0, token_count=7,
                )  # fmt: skip
        made.append(run)
    return made


def test_the_table_pairs_greedy_and_sampled_answers(version, evaluated):
    lines = {line.name: line for line in table_of([evaluation_of(run) for run in evaluated])}
    assert [one.value for one in lines["accuracy"].figures] == [0.5, 1.0]
    assert lines["accuracy"].figures[1].difference == 0.5
    assert lines["sampled_accuracy"].figures[1].difference == 0.0
    assert lines["tokens"].figures[0].value == 7


def test_the_same_questions_stand_side_by_side(pair, project):
    question, other = project.questions.order_by("id")
    for run, step, asked, text in (
        (pair[0], 0, question, "at first"),
        (pair[0], 9, question, "in the end"),
        (pair[0], 9, other, "asked of one alone"),
        (pair[1], 5, question, "also"),
    ):
        ProbeAnswer.objects.create(run=run, step=step, question=asked, text=text, correct=True)
    (row,) = samples_beside(pair)
    assert row.question == question
    assert [one.text for one in row.said if one] == ["in the end", "also"]


def address(*runs: Run, name: str = "run-compare", **more: str) -> str:
    from urllib.parse import urlencode

    query = urlencode([("run", run.pk) for run in runs] + list(more.items()))
    return f"{reverse(name, args=['orchard'])}?{query}"


def test_the_page_shows_it_all(client, viewer, evaluated, pair, version):
    client.force_login(viewer)
    page = client.get(address(*evaluated, *pair)).content.decode()
    assert "What differs" in page
    assert "+50.0 pp" in page
    assert "As CSV" in page


@pytest.mark.parametrize("count", [0, 1, 9])
def test_fewer_than_two_or_more_than_eight_are_asked_for_again(
    client, viewer, project, student, count
):
    runs = [Run.objects.create(project=project, kind="score") for _ in range(count)]
    client.force_login(viewer)
    answer = client.get(address(*runs))
    assert answer.status_code == 200
    assert ("choose fewer" in answer.content.decode()) == (count == 9)
    assert "two to eight" in answer.content.decode() or count == 9


def test_the_table_is_a_file_too(client, viewer, evaluated, version):
    client.force_login(viewer)
    answer = client.get(address(*evaluated, name="run-compare-file"))
    rows = list(csv.DictReader(answer.content.decode().splitlines()))
    found = next(r for r in rows if r["measure"] == "accuracy" and r["run"] == str(evaluated[1].pk))
    assert (found["value"], found["difference"], found["questions_shared"]) == ("1.0", "0.5", "2")


def test_another_projects_run_cannot_be_compared(client, viewer, pair):
    from curation.models import Project

    secret = Run.objects.create(
        project=Project.objects.create(slug="secret", name="Secret"),
        kind="score",
        name="the secret one",
    )
    client.force_login(viewer)
    assert "the secret one" not in client.get(address(*pair, secret)).content.decode()


def test_comparing_costs_the_same_however_long_the_runs(
    client, viewer, pair, django_assert_max_num_queries
):
    for run in pair:
        Metric.objects.bulk_create(
            Metric(run=run, step=step, name="loss", value=1.0) for step in range(1, 2001)
        )
    client.force_login(viewer)
    with django_assert_max_num_queries(30):
        client.get(address(*pair))
