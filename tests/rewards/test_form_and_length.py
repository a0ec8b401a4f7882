"""Form, length and repetition: their formulas by hand, and who gains nothing."""

from __future__ import annotations

from math import cos, pi

import pytest

from training.decoding.prompts import completion_text
from training.decoding.record import Completion, Question
from training.rewards import reward_functions
from training.rewards.length_bridge import compression_term, length_term
from training.rewards.sample import Sample, stored

ASKED = Question(id="1", question="What is 8 + 3?", reference_answer="11")


def reward(name: str, sample: Sample, question: Question = ASKED) -> float | None:
    return reward_functions()[name](question, sample)


def sample(thought: str = "8 + 3 = 11", answer: str = "11", **more) -> Sample:
    return Sample(thought, answer, **{"text": completion_text(thought, answer), **more})


# --- format ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("8 + 3 = 11\n#### 11", 1), ("8 + 3 = 11\nso\n#### 11\n", 1),
        ("<think>8 + 3</think>\n#### 11", 1), ("#### 11", 0), ("8 + 3 = 11", 0), ("", 0),
        ("8 + 3 = 11\n####", 0), ("8 + 3 = 11\n#### ", 0), ("8 + 3 = 11\n####11", 0),
        ("8 + 3 = 11 #### 11", 0), ("a\n#### 8\nb\n#### 11", 0), ("a\n#### 11\nthank you", 0),
        ("<think>8 + 3\n#### 11", 0), ("a\nAnswer: 11", 0), ("a\n##### 11", 0),
    ],
)  # fmt: skip
def test_the_format_is_a_thought_and_one_answer_line_behind_it(text, kept):
    assert reward("format", Sample(text=text)) == kept


def test_what_the_renderer_writes_is_in_the_format():
    assert reward("format", sample()) == 1
    assert reward("format", sample(finish_reason="length")) == 0  # "1" of "11", perhaps


def test_after_a_given_thought_the_answer_line_is_all_that_was_asked_for():
    given = {"thought": "8 + 3 = 11", "given_thought": True}
    assert reward("format", sample(**given, text="#### 11")) == 1
    assert reward("format", sample(**given, text="8 + 3 = 11\n#### 11")) == 0


def test_a_stored_completion_is_as_long_and_as_formed_as_it_was():
    settings = {"token_ids": [1, 2, 3], "sampling": {"max_new_tokens": 6}, "conditioned_on": "t"}
    line = ASKED.model_copy(update={"thought": "eight and three"})
    found = stored(line, Completion(id="a", answer="11", **settings))
    assert (found.thought, found.text, found.given_thought) == ("eight and three", "#### 11", True)
    assert (reward("length", found), reward("format", found)) == (0.5, 1)
    assert reward("length", stored(ASKED, Completion(id="b", answer="11"))) is None


# --- length ---------------------------------------------------------------------------------------


def test_length_is_the_share_of_what_was_allowed():
    assert reward("length", sample(tokens=25, limit=100)) == 0.25
    assert reward("length", sample(tokens=100, limit=100)) == 1.0
    assert reward("length", sample(limit=100)) is None
    assert reward("length", sample(tokens=25)) is None


def test_the_cosine_falls_from_one_to_nothing_and_only_right_answers_gain():
    found = [reward("length_cosine", sample(tokens=n, limit=100)) for n in (0, 25, 50, 75, 100)]
    assert found == pytest.approx([1, (1 + cos(pi / 4)) / 2, 0.5, (1 - cos(pi / 4)) / 2, 0])
    for tokens in (0, 50, 100):
        assert reward("length_cosine", sample(answer="12", tokens=tokens, limit=100)) == 0
    unknown = ASKED.model_copy(update={"reference_answer": ""})
    assert reward("length_cosine", sample(tokens=1, limit=9), unknown) is None


def test_half_correctness_and_half_cosine_is_the_right_branch_of_open_r1():
    for tokens in (0, 30, 77, 100):
        one = sample(tokens=tokens, limit=100)
        theirs = 0.5 + 0.5 * (1.0 - 0.5) * (1.0 + cos(tokens / 100 * pi))
        ours = 0.5 * reward("answer_correct", one) + 0.5 * reward("length_cosine", one)
        assert ours == pytest.approx(theirs)


# --- BRIDGE ---------------------------------------------------------------------------------------


def taught(steps: int, words: int) -> Question:
    """With a teacher's rationale of so many lines of so many words."""
    thought = "\n".join(" ".join(["word"] * words) for _ in range(steps))
    completions = [
        Completion(id="s", role="student", thought="mine", answer="11"),
        Completion(id="t", thought=thought, answer="11"),
    ]
    return ASKED.model_copy(update={"completions": completions})


@pytest.mark.parametrize(
    ("words", "term"),
    [(171, -0.01), (240, -0.7), (400, -1.0), (170, -0.068), (136, 0.0), (100, 0.036), (0, 0.136)],
)
def test_the_length_term_of_stage_two_has_three_stretches(words, term):
    assert length_term(words, budget=170) == pytest.approx(term)


def test_the_bonus_for_few_words_is_capped():
    assert length_term(0, budget=350) == 0.2


@pytest.mark.parametrize(
    ("ratio", "term"),
    [
        (3.0, -0.5),
        (1.4, -0.2),
        (1.0, 0),
        (0.9, 0),
        (0.65, 0.25),
        (0.5, 0.5),
        (0.35, 0.65),
        (0, 0.8),
    ],
)
def test_the_compression_term_of_stage_three_has_four_stretches(ratio, term):
    assert compression_term(ratio) == pytest.approx(term)


@pytest.mark.parametrize("name", ["length_bridge", "length_bridge_rewrite"])
def test_wrong_is_worse_than_ill_formed_and_that_than_long(name):
    question, long = taught(4, 10), "word " * 500
    wrong = reward(name, sample(answer="12"), question)
    ill_formed = reward(name, sample(text="8 + 3 = 11, so 11"), question)
    rambling = reward(name, sample(long), question)
    short = reward(name, sample(), question)
    assert (wrong, ill_formed) == (-2.0, -1.0)
    assert ill_formed < rambling < short


def test_bridge_counts_saved_steps_and_words_against_the_teacher():
    # Four steps allow 140 words; one step of 5 words saves three steps and 112 - 5 words.
    found = reward("length_bridge", sample(), taught(4, 10))
    assert found == pytest.approx(1 + 0.3 * 3 + 0.107)
    # 5 words of the teacher's 10.
    assert reward("length_bridge_rewrite", sample(), taught(1, 10)) == pytest.approx(1.5)


def test_without_a_teacher_or_a_reference_bridge_cannot_say():
    assert reward("length_bridge", sample()) is None
    assert reward("length_bridge_rewrite", sample()) is None
    unknown = taught(2, 10).model_copy(update={"reference_answer": ""})
    assert reward("length_bridge", sample(), unknown) is None


# --- repetition -----------------------------------------------------------------------------------


def test_repetition_is_the_share_of_trigrams_said_before():
    assert reward("repetition", Sample(text="one two three four five")) == 0
    assert reward("repetition", Sample(text="one two")) == 0
    # a a a a: two trigrams, one of them new.
    assert reward("repetition", Sample(text="a A a a")) == -0.5
    assert reward("repetition", Sample(text="go on " * 100)) == pytest.approx(-(1 - 2 / 198))


# --- judges ---------------------------------------------------------------------------------------


def test_a_rating_is_the_mean_over_judges_and_missing_where_nobody_rated():
    scores = {"judge_rating": 9.0, "judge_rating@model-1": 9.0, "judge_rating@model-2": 6.0}
    assert reward("judge_rating", sample(scores=scores)) == 7.5
    assert reward("judge_rating", sample(scores={"judge_rating": 4.0})) == 4.0
    assert reward("judge_rating", sample(scores={"judge_rating@model-1": None})) is None
    assert reward("judge_rating", sample()) is None
