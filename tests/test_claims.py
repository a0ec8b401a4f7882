"""The benches of the papers' claims: what counts as right, what the noise is, what is published."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from benchmarks.claims import _expressions as task
from benchmarks.claims import _words
from benchmarks.claims._figures import over_seeds
from training.demo.problems import demo_problems
from training.measures.steps import all_hold

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


@pytest.mark.parametrize("text", ["20+4", "6*4", "31-7", "8+9+7", "2*11+2", "4+20"])
def test_every_expression_of_the_number_is_right(text):
    assert task.valid(24, text)
    assert task.rating(24, text) == 10


@pytest.mark.parametrize("text", ["24", "24+0", "024+1", "+24", "20+", "12+12=24", "", "20--4"])
def test_tricks_are_no_expressions(text):
    assert task.value(text) is None
    assert task.rating(24, text) == 0


def test_ratings_fall_with_the_distance():
    assert [task.rating(24, text) for text in ("20+3", "20+6", "90+9")] == [7.5, 7.0, 1.0]


def test_the_same_sum_turned_round_is_another_text_and_the_same_form():
    said = ["20+4", "4+20", "20+4", "20+5"]
    assert (task.distinct(24, said), task.distinct_forms(24, said)) == (2, 1)


def test_a_teacher_without_faults_is_always_right_and_one_with_them_often_off_by_one():
    dice, good = random.Random(0), task.Teacher(favourite=0.2, wrong=0.0)
    assert all(task.valid(n, good.write(n, dice)) for n in task.NUMBERS for _ in range(9))
    noisy = [(n, task.value(task.Teacher().write(n, dice))) for n in task.NUMBERS for _ in range(9)]
    assert {found - n for n, found in noisy} == {-1, 0, 1}
    assert 0.3 < sum(found == n for n, found in noisy) / len(noisy) < 0.5


def test_noise_is_what_it_says():
    dice = random.Random(0)
    pool = [(p, one) for p in demo_problems(200) for one in _words.pool_of(p, dice)]
    assert 0.35 < sum(one.kind != "careful" for _, one in pool) / len(pool) < 0.45
    for problem, one in pool:
        assert (one.answer == problem.answer) == (one.kind != "wrong")
        if one.kind in ("careful", "copy", "long"):
            assert all_hold(one.thought)
            assert int(one.thought.rsplit(" ", 1)[1]) == problem.answer
        if one.kind == "chance":
            assert int(one.thought.rsplit(" ", 1)[1]) != problem.answer


def test_the_interval_is_students_over_seeds():
    mean, low, high = over_seeds([1.0, 2.0, 3.0])
    assert mean == 2
    assert high - mean == pytest.approx(4.3027 / 3**0.5, abs=1e-3)  # t of two degrees of freedom
    assert over_seeds([0.9, 1.0, 1.0], most=1.0)[2] == 1
    assert low < mean


def test_the_published_table_has_every_arm_with_its_interval():
    found = json.loads((RESULTS / "claim_cotd_po_modes.json").read_text())
    assert found["seeds"] >= 5
    assert set(found["arms"]) == {"start", "sft", "best_of", "grpo", "cotd_po"}
    for row in found["arms"].values():
        for name in ("valid", "distinct"):
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]


@pytest.mark.parametrize("file", sorted(RESULTS.glob("claim_*.json")), ids=lambda file: file.stem)
def test_the_page_says_what_the_file_says(file):
    page = (RESULTS.parents[1] / "docs" / "claims.md").read_text()
    found, claim = json.loads(file.read_text()), file.stem.removeprefix("claim_")
    assert f"images/claims/{claim}.svg" in page
    name, digits = ("distinct", 1) if claim == "cotd_po_modes" else ("sampled_accuracy", 3)
    for arm, row in found["arms"].items():
        ends = [f"{row[f'{name}{end}']:.{digits}f}" for end in ("", "_low", "_high")]
        heads = (f"| {arm} | 0", f"| `{arm}` | 0")
        lines = [one for one in page.split("\n") if one.startswith(heads)]
        assert any("{} ({} to {})".format(*ends) in line for line in lines)
