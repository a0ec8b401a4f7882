"""MoRSD on paper: right, of some help, no two alike, then the easiest."""

from __future__ import annotations

from math import e

import pytest

from tests.selection.cast import STUDENT, asked, candidate, ranked, scored, verdicts
from training.selection import morsd
from training.selection.morsd import Config, alike, difficulty, looks_of, preferred


def test_each_sieve_gives_its_own_reason():
    question = asked(
        scored(0.5),
        scored(0.5, correct=0.0),
        scored(1.0),
        scored(None),
        candidate(scores={"answer_correct": 1.0}),
        candidate(),
    )
    assert verdicts("morsd", question, student=STUDENT) == [
        None,
        "Its answer is wrong",
        "It does not help model-9 to the answer",
        "model-9 could not score it",
        "Not scored by model-9",
        "Its answer has not been checked",
    ]


def test_without_a_student_nothing_is_chosen():
    reason = "No student is chosen whose scores would count"
    assert verdicts("morsd", asked(scored(0.5))) == [reason]


def test_what_another_student_scored_does_not_count():
    assert verdicts("morsd", asked(scored(0.5)), student="model-8") == ["Not scored by model-8"]


def test_what_does_not_help_may_be_asked_for():
    assert verdicts("morsd", asked(scored(1.7)), student=STUDENT, helps=False) == [None]


def test_steps_count_where_that_is_asked():
    half = asked(scored(0.5, scores={"valid_steps": 0.5}))
    assert verdicts("morsd", half, student=STUDENT) == [None]
    strict = verdicts("morsd", half, student=STUDENT, valid_steps=1)
    assert strict == ["Too few of its steps are valid"]


def test_of_two_with_the_same_equations_the_easier_stays():
    question = asked(
        scored(0.6, thought="First 3 + 8 = 11."),
        scored(0.4, thought="Add them: 8 + 3 = 11"),
        scored(0.7, thought="6 + 5 = 11"),
    )
    alike_too = "Nearly the same as another one of its question"
    assert verdicts("morsd", question, student=STUDENT) == [alike_too, None, None]
    kept = verdicts("morsd", question, student=STUDENT, order="highest")
    assert kept == [None, alike_too, None]
    assert verdicts("morsd", question, student=STUDENT, similarity=1) == [None] * 3


def test_words_are_compared_by_the_share_they_have_in_common():
    left, right = looks_of("a b c d e f g h i"), looks_of("a b c d e f g h j")
    assert alike(left, right) == 8 / 10
    assert alike(left, left) == 1
    assert alike(looks_of("8 + 3 = 11"), looks_of("3 + 8 = 11")) == 1
    assert alike(looks_of("7 + 7 = 14"), looks_of("2 * 7 = 14")) < 1


def test_the_order_is_lowest_middle_or_highest():
    pool = [scored(ratio) for ratio in (0.9, 0.1, 0.4, 0.5)]

    def first(order: str) -> float:
        chosen = preferred(pool, Config(student=STUDENT, order=order))[0]
        return chosen.score("rationale_difficulty", STUDENT)

    assert first("lowest") == 0.1
    assert first("highest") == 0.9
    assert first("middle") == 0.4, "the median is 0.45, and 0.4 came before 0.5"


def test_the_variants_of_difficulty():
    one = scored(1 / e, scores={f"answer_probability@{STUDENT}": 0.8})
    assert difficulty(one, Config(student=STUDENT)) == 1 / e
    assert difficulty(one, Config(student=STUDENT, variant="logdiff")) == pytest.approx(-1)
    assert difficulty(one, Config(student=STUDENT, variant="prob")) == -0.8, "likely is easy"


def test_k_of_each_question_or_a_share_of_all():
    first = asked(*(scored(ratio) for ratio in (0.1, 0.2, 0.3)))
    second = asked(*(scored(ratio) for ratio in (0.8, 0.7)), considered=7)
    both = [first, second]
    assert ranked("morsd", both, student=STUDENT, k=1) == [[True, False, False], [False, True]]
    # 30 % of the 3 + 7 considered are three, wherever they are
    share = ranked("morsd", both, student=STUDENT, keep="share", share=0.3)
    assert share == [[True, True, True], [False, False]]
    hardest = ranked("morsd", both, student=STUDENT, keep="share", share=0.2, order="highest")
    assert hardest == [[False] * 3, [True, True]]


def test_only_a_share_needs_the_whole_dataset():
    assert not morsd.Config().over_dataset
    assert morsd.Config(keep="share").over_dataset
