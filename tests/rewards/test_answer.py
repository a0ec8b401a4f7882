"""Is the answer right? What people and models write, read as it is meant."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.decoding.record import Question
from training.rewards.answer import answer_correct, equal_answers, extracted, judged, number
from training.rewards.sample import Sample


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("72", 72), ("72.0", 72), ("-3", -3), ("−3", -3), ("1,234", 1234), ("$1,234.50", "1234.5"),
        ("20%", 20), ("20 percent", 20), ("3/4", "3/4"), ("1 1/2", "3/2"), (".5", "1/2"),
        ("\\frac{3}{4}", "3/4"), ("$\\dfrac{1}{2}$", "1/2"), ("1.5e3", 1500), ("72 clips", 72),
        ("in total 72", 72), ("from 12 to 15", 15), ("€5", 5), ("-$4", -4), ("1{,}000", 1000),
        ("no number", None), ("", None), ("1/0", None),
    ],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(text, value):
    assert number(text) == (None if value is None else Fraction(value))


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(text):
    number(text)
    extracted(text)


@pytest.mark.parametrize("text", ["9" * 6000, "1" * 6000 + "/3", "1," * 50_000, "(" * 100_000])
def test_noise_of_any_length_is_a_wrong_answer_and_no_crash(text):
    assert equal_answers(text, "7", "number")[0] is False


@pytest.mark.parametrize(
    ("given_", "reference", "kind", "correct"),
    [
        ("72.00", "72", "number", True), ("73", "72", "number", False), ("", "72", "number", False),
        ("0.3333333", "1/3", "number", True), ("0.333", "1/3", "number", False),
        ("(B)", "b", "choice", True), ("B. because C is wrong", "B", "choice", True),
        ("A", "B", "choice", False), ("none", "B", "choice", False),
        ("The Eiffel Tower.", "eiffel tower", "text", True), ("Louvre", "eiffel", "text", False),
        ("anything", "", "number", None), ("an essay", "another", "open", None),
    ],
)  # fmt: skip
def test_answers_are_compared_by_their_kind(given_, reference, kind, correct):
    assert equal_answers(given_, reference, kind)[0] is correct


@pytest.mark.parametrize(
    ("completion", "answer", "marked"),
    [
        ("8 + 3 = 11\n#### 11", "11", True), ("#### 3\nno:\n#### 11", "11", True),
        ("so \\boxed{\\frac{3}{4}} it is", "\\frac{3}{4}", True),
        ("\\boxed{5}\n#### 11", "11", True), ("Final Answer: 11", "11", True),
        ("it is 8, no, 11", "11", False), ("I do not know", "", False),
    ],
)  # fmt: skip
def test_the_last_mark_counts_and_a_guess_is_flagged(completion, answer, marked):
    assert extracted(completion) == (answer, marked)


def test_an_answer_that_is_not_there_earns_nothing_and_one_nobody_can_judge_has_no_value():
    question = Question(id="1", question="?", reference_answer="11")
    assert answer_correct(question, Sample("8 + 3 = 11", "11")) == 1.0
    assert answer_correct(question, Sample("8 + 3 = 11", "")) == 0.0
    unknown = question.model_copy(update={"reference_answer": ""})
    assert answer_correct(unknown, Sample(answer="11")) is None
    assert judged("", question).parsed is False


@pytest.mark.parametrize(
    ("kind", "reference", "answer"),
    [("choice", "A", r"\boxed{A}"), ("text", "foo", r"\boxed{foo}"), ("number", "72", "$72")],
)
def test_reward_and_evaluation_read_an_answer_alike(kind, reference, answer):
    question = Question(id="1", question="?", reference_answer=reference, answer_kind=kind)
    assert judged(answer, question).correct is True
    assert answer_correct(question, Sample(thought="so", answer=answer)) == 1.0
