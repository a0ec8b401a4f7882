"""The majority of a question's answers, counted on paper."""

from __future__ import annotations

import pytest

from tests.selection.cast import asked, candidate, verdicts
from training.selection.self_consistency import canonical


def of_answers(*answers: str, **settings) -> list[str | None]:
    kind = settings.pop("answer_kind", "number")
    question = asked(*map(candidate, answers), answer_kind=kind)
    return verdicts("self_consistency", question, **settings)


def test_equal_answers_vote_together_however_they_are_written():
    # 11, 11.0 and "11 apples" are three of five votes: exactly 0.6
    found = of_answers("11", "11.0", "11 apples", "12", "")
    otherwise, unread = "The majority answers otherwise", "Its answer cannot be read"
    assert found == [None, None, None, otherwise, unread]


def test_below_the_share_the_question_abstains():
    assert set(of_answers("11", "11", "12", "13")) == {
        "No answer of its question has 0.6 of the votes"
    }
    assert of_answers("11", "11", "12", "13", share=0.5)[:2] == [None, None]


def test_a_tie_abstains_whatever_the_share():
    reason = "Two answers of its question have as many votes"
    assert of_answers("11", "11", "12", "12", share=0.5) == [reason] * 4


def test_the_unreadable_are_a_class_of_their_own():
    reason = "Most answers of its question cannot be read"
    assert of_answers("dunno", "", "who knows", "11") == [reason] * 4


def test_few_votes_are_no_majority():
    assert of_answers("11", "11") == ["Its question has fewer than 3 votes"] * 2
    assert of_answers("11", votes=1) == [None]


def test_answers_drawn_after_one_thought_do_not_vote():
    after = [candidate("12", thought="", conditioned_on=1) for _ in range(4)]
    question = asked(*map(candidate, ("11", "11", "11")), *after)
    found = verdicts("self_consistency", question)
    assert found == [None] * 3 + ["The majority answers otherwise"] * 4


def test_choices_vote_by_their_letter():
    found = of_answers("(B)", "b", "B) because", "C", answer_kind="choice")
    assert found == [None, None, None, "The majority answers otherwise"]


@pytest.mark.parametrize(
    ("answer", "form"),
    [("1,000", "1000"), ("1/3", "0.333333"), ("0.33333333", "0.333333"), ("none", None)],
)
def test_numbers_have_one_form(answer, form):
    assert canonical(answer, asked()) == form


def test_a_pair_is_compared_whole_where_the_reference_is_one():
    pair = asked(reference_answer="3 and 4")
    assert canonical("5 and 4", pair) == "5 4"
    assert canonical("5 and 4", asked()) == "4"


def test_numbers_of_any_size_have_a_form_and_large_ones_that_differ_differ():
    assert canonical("9" * 400 + ".5", asked()) == "9" * 400 + ".5"
    assert canonical("1234567.5", asked()) != canonical("1234570.2", asked())
    assert canonical("100/3", asked()) == canonical("33.3333", asked())
