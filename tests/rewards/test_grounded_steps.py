"""Where the numbers of a thought come from."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.decoding.record import Question
from training.measures.grounding import grounded_share, grounded_steps, numbers_said
from training.rewards import reward_functions
from training.rewards.sample import Sample


def grounded(thought: str, question: str) -> list[bool]:
    return [source for _, source in grounded_steps(thought, question)]


def test_numbers_come_from_the_question_or_from_an_earlier_result():
    asked = "Natalia sold 48 clips in April and half as many in May. How many in all?"
    assert grounded("48 / 2 = 24\n48 + 24 = 72", asked) == [True, True]
    assert grounded("48 + 24 = 72\n48 / 2 = 24", asked) == [False, True]  # used before it was known
    assert grounded("48 / 2 = <<48/2=24>>24\n24 + 10 = 34", asked) == [True, False]


def test_what_an_earlier_step_used_is_no_result():
    assert grounded("5 * 7 = 35\n7 + 35 = 42", "Five boxes.") == [False, False]


def test_a_step_has_to_hold_as_well():
    assert grounded_share("8 + 3 = 11\n11 + 3 = 15", "There are 8 and 3.") == 0.5
    assert grounded_share("8 + 3 = 11\n9 + 11 = 20", "There are 8 and 3.") == 0.5
    assert grounded_share("I think so.", "There are 8 and 3.") is None


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("1,200 bricks", 1200), ("$2.50 each", "5/2"), ("3/4 of them", "3/4"), ("3/4 of them", 3),
        ("20% off", 20), ("20% off", "1/5"), ("20% off", "4/5"), ("20% more", "6/5"),
        ("20 percent off", "1/5"), ("ten percent", "1/10"), ("three dozen eggs", 12),
        ("three dozen eggs", 3), ("twice a week", 7), ("half of it", "1/2"), ("Twelve men", 12),
    ],
)  # fmt: skip
def test_a_question_says_figures_words_shares_and_units(question, said):
    assert Fraction(said) in numbers_said(question)


def test_a_word_says_no_more_than_it_means():
    assert numbers_said("The weekly tone of someone often stopped.") == numbers_said("weekly")
    assert numbers_said("Nobody counted.") == set()


@given(st.lists(st.integers(2, 99), min_size=2, max_size=6))
def test_a_chain_of_sums_over_what_was_said_is_grounded_to_its_end(numbers):
    total, lines = numbers[0], []
    for number in numbers[1:]:
        lines.append(f"{total} + {number} = {total + number}")
        total += number
    question = " and ".join(map(str, numbers))
    assert grounded_share("\n".join(lines), question) == 1.0


def test_the_reward_reads_the_question():
    reward = reward_functions()["grounded_steps"]
    question = Question(id="1", question="There are 8 birds; 3 more come.")
    assert reward(question, Sample("8 + 3 = 11")) == 1.0
    assert reward(question, Sample("4 + 7 = 11")) == 0.0
    assert reward(question, Sample("Eleven.")) is None
