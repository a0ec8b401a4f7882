"""Supervised fine-tuning: the mean over the step's tokens, and which rationales are imitated."""

from __future__ import annotations

import pytest

from tests.methods.renderer import Words
from tests.methods.tiny import (
    loss_of,
    make_group,
    make_logprobs,
    random_numbers,
    splits,
    summed_over,
)
from training.decoding.record import Question
from training.methods import sft
from training.methods.base import Skipped

CONFIG = sft.Config()


def test_the_loss_is_the_mean_over_completion_tokens():
    groups = [make_group([2, 1])]
    loss, shares = loss_of(sft, groups, make_logprobs([[[-1.0, -2.0], [-3.0]]]), CONFIG)
    assert loss.item() == pytest.approx((1 + 2 + 3) / 3)
    assert float(shares["tokens"]) == 3


def test_a_long_rationale_counts_by_its_tokens():
    groups = [make_group([3]), make_group([1])]
    loss, _ = loss_of(sft, groups, make_logprobs([[[-1.0, -1.0, -1.0]], [[-5.0]]]), CONFIG)
    assert loss.item() == pytest.approx((3 + 5) / 4)


@pytest.mark.parametrize("parts", splits(3))
def test_shares_of_a_step_add_up_however_it_is_split(parts):
    groups = [make_group([2, 5]), make_group([1]), make_group([3, 3, 1])]
    numbers = random_numbers(groups)
    tokens = [number for group in numbers for row in group for number in row]
    totals = summed_over(sft, groups, numbers, parts, CONFIG)
    assert totals["loss"] == pytest.approx(-sum(tokens) / len(tokens))
    assert totals["tokens"] == len(tokens)


def test_an_absent_completion_teaches_nothing():
    there = make_group([2])
    with_absent = make_group([2, 4], present=[True, False])
    logprobs = make_logprobs([[[-1.0, -2.0], [-9.0] * 4]])
    loss, _ = loss_of(sft, [with_absent], logprobs, CONFIG)
    alone, _ = loss_of(sft, [there], make_logprobs([[[-1.0, -2.0]]]), CONFIG)
    loss.backward()
    assert loss.item() == pytest.approx(alone.item())
    assert logprobs.completion.grad[0, 1].abs().sum() == 0


def asked(*completions: dict, **fields) -> Question:
    numbered = [{"id": str(n), **each} for n, each in enumerate(completions)]
    return Question(id="1", question="two and two", completions=numbered, **fields)


def made(question: Question, **settings):
    skipped = Skipped()
    return sft.groups(question, sft.Config(**settings), Words(), skipped), skipped


def test_all_rationales_of_a_question_are_one_group():
    question = asked({"thought": "a", "answer": "4"}, {"thought": "b", "answer": "4"})
    (group,), skipped = made(question)
    assert len(group.completions) == 2
    assert not skipped


def test_what_was_rejected_or_has_no_answer_is_left_out_and_counted():
    question = asked({"thought": "a", "answer": "4", "accepted": False}, {"thought": "b"})
    groups, skipped = made(question)
    assert groups == []
    assert skipped["rejected by a reviewer"] == skipped["without an answer"] == 1


def test_a_rationale_that_is_too_long_is_left_out_whole():
    question = asked({"thought": "a " * 50, "answer": "4"}, {"thought": "b", "answer": "4"})
    (group,), skipped = made(question, max_completion_tokens=20)
    assert len(group.completions) == 1
    assert skipped["completion longer than max_completion_tokens"] == 1


def test_only_the_best_ranked_rationale_on_request():
    texts = [{"thought": "worse", "answer": "4"}, {"thought": "better", "answer": "4"}]
    rankings = [{"judge": "person-1", "ranks": {"0": 2, "1": 1}}]
    (group,), _ = made(asked(*texts, rankings=rankings), rationales="best")
    assert group.completions == [Words().completion("better", "4")]


def test_a_students_own_samples_are_imitated_only_if_asked_for():
    question = asked({"thought": "a", "answer": "4", "role": "student"})
    assert made(question)[0] == []
    assert len(made(question, roles=["student"])[0]) == 1
