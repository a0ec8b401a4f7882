"""What counts as a step, and whether it holds."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.decoding.record import Question
from training.measures.arithmetic import value
from training.measures.steps import MOST, all_hold, steps, valid_share
from training.rewards import reward_functions
from training.rewards.sample import Sample


@pytest.mark.parametrize(
    ("line", "left", "holds"),
    [
        ("8 + 3 = 11", "8 + 3", True),
        ("8 + 3 = 12", "8 + 3", False),
        ("3 bags of 4: 3 * 4 = 12", "3 * 4", True),
        ("She pays $5 x 3 = $15.", "$5 x 3", True),
        ("1,000 * 2 = 2,000", "1,000 * 2", True),
        ("(2 + 3) * 4 = 20", "(2 + 3) * 4", True),
        ("2 × (3 + 4) = 14", "2 × (3 + 4)", True),
        ("20% * 50 = 10", "20% * 50", True),
        ("7 - 2 - 1 = 4", "7 - 2 - 1", True),
        ("10 / 3 = 3.33", "10 / 3", True),
        ("10 / 3 = 3.34", "10 / 3", False),
        ("10 / 3 = 3", "10 / 3", False),
        ("9.38-10 = -0.6199999999999992", "9.38-10", True),
        ("11/18*162 = 99.0000001", "11/18*162", False),
        ("12 ÷ 4 = 3", "12 ÷ 4", True),
    ],
)
def test_an_equation_is_recomputed(line, left, holds):
    (step,) = steps(line)
    assert (step.left, step.holds) == (left, holds)


def test_digits_of_other_scripts_are_read():
    right, wrong = steps("٨ + ٣ = ١١\n१२ × ३ = ३५")
    assert (right.left, right.right, right.holds) == ("8 + 3", "11", True)
    assert (wrong.left, wrong.right, wrong.holds) == ("12 × 3", "35", False)
    half, small = steps("١٬٢٠٠ × ٥٠٪ = ٦٠٠\n٠٫٥ × ٨ = ٥")
    assert (half.holds, small.left, small.holds) == (True, "0.5 × 8", False)


def test_calculator_marks_are_read_and_the_text_beside_them_is_not():
    found = steps("Natalia sold 48/2 = <<48/2=24>>24 clips.\n48+24 = <<48+24=72>>72 altogether.")
    assert [(step.left, step.right, step.holds) for step in found] == [
        ("48/2", "24", True),
        ("48+24", "72", True),
    ]


@pytest.mark.parametrize(
    "text", ["", "No sums here.", "x = 3", "1 / 0 = 3", "the 3-4 = bla", "= 4", "3 + 4"]
)
def test_what_cannot_be_read_is_no_step(text):
    assert steps(text) == []
    assert valid_share(text) is None
    assert not all_hold(text)


def test_the_share_and_the_whole_chain():
    thought = "8 + 3 = 11\n11 - 2 = 8\n8 * 2 = 16\n16 / 4 = 4"
    assert valid_share(thought) == 0.75
    assert not all_hold(thought)
    assert all_hold("8 + 3 = 11\n11 - 2 = 9")


def test_equations_that_say_the_same_have_one_form():
    def form(line: str) -> str:
        return steps(line)[0].form

    assert form("3 + 4 = 7") == form("4+3 = 7")
    assert form("3 × 4 = 12") == form("4 * 3 = 12")
    assert form("7 - 3 = 4") != form("4 - 3 = 1")
    assert form("7 + 7 = 14") != form("2 * 7 = 14")


@given(st.text(alphabet="0123456789+-*/()., x$%=<>", max_size=80))
def test_no_text_breaks_the_parser(text):
    assert value(text) is None or isinstance(value(text), Fraction)
    steps(text)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_right_sums_hold_and_wrong_ones_do_not(a, b):
    assert all_hold(f"{a} + {b} = {a + b}")
    assert not all_hold(f"{a} + {b} = {a + b + 1}")


@pytest.mark.parametrize("text", ["1+" * 50_000, "(" * 100_000, "9" * 100_000 + "=", "1 " * 50_000])
def test_a_long_text_comes_to_an_end(text):
    assert len(steps(text)) <= MOST


def test_of_a_chain_the_sides_that_end_in_a_number_count():
    assert [(one.left, one.right) for one in steps("5 + 3 = 8 + 24 = 32")] == [("8 + 24", "32")]


def test_a_bullet_is_no_sign_and_a_label_is_no_operand():
    assert [one.left for one in steps("- 5 + 3 = 8\nStep 2 3 * 4 = 12\n-5 + 3 = -2")] == [
        "5 + 3",
        "3 * 4",
        "-5 + 3",
    ]


def test_the_reward_has_no_value_where_there_is_no_step():
    question = Question(id="1", question="?", reference_answer="11")
    reward = reward_functions()["valid_steps"]
    assert reward(question, Sample("8 + 3 = 11\n1 + 1 = 3", "11")) == 0.5
    assert reward(question, Sample("I think so.", "11")) is None


@pytest.mark.parametrize("sign", ["(", "-", "2^"])
def test_signs_without_an_end_are_no_arithmetic_however_deep_the_caller_stands(sign):
    def deeper(left: int) -> list[Any]:
        return deeper(left - 1) if left else list(steps(sign * (190 // len(sign)) + "1+1 = 2"))

    assert all(step.holds is not True for step in deeper(400))
