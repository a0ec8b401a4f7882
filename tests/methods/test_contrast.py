"""Contrast: which side a completion is on, the loss by hand, and that training follows."""

from __future__ import annotations

from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.shapes import FAMILIES
from tests.methods.preference_runs import trained
from tests.methods.renderer import Words
from tests.methods.tiny import (
    loss_of,
    make_group,
    make_logprobs,
    random_numbers,
    splits,
    summed_over,
    weighed,
)
from training.decoding.record import Question
from training.methods import contrast
from training.methods.base import Skipped
from training.methods.contrast import Config, sides

# --- Sides ----------------------------------------------------------------------------------------


def sides_of(rewards, **settings):
    group = make_group([1 + n for n in range(len(rewards))], rewards)
    return sides(group, Config(**settings))


def test_two_of_five_are_pushed_up_and_two_down():
    assert sides_of([5.0, 1.0, 4.0, 2.0, 3.0]) == ([0, 2], [1, 3])


def test_k_says_how_many():
    assert sides_of([5.0, 1.0, 4.0, 2.0, 3.0], k_top=1, k_bottom=2) == ([0], [1, 3])


def test_what_is_as_good_as_the_last_of_the_best_is_one_of_them():
    assert sides_of([1.0, 1.0, 1.0, 0.0]) == ([0, 1, 2], [3])


def test_what_is_no_better_than_the_mean_is_not_among_the_best():
    assert sides_of([1.0, 0.0, 0.0, 0.0]) == ([0], [1, 2, 3])


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=7), st.integers(1, 3), st.integers(1, 3))
def test_no_completion_is_on_both_sides_and_every_best_beats_every_worst(rewards, top, bottom):
    best, worst = sides_of(rewards, k_top=top, k_bottom=bottom)
    assert not set(best) & set(worst)
    assert all(rewards[n] > rewards[m] for n in best for m in worst)


@given(st.floats(-1e6, 1e6), st.integers(1, 6))
def test_a_group_of_equal_rewards_has_no_sides_and_is_not_trained_on(reward, count):
    (group,) = weighed(contrast, [make_group([1] * count, [reward] * count)], Config())
    assert not any(group.weights)
    assert not contrast.trainable(group, Config())


def test_a_cut_off_completion_is_never_among_the_best():
    group = make_group([1, 2, 3], [1.0, 0.9, 0.0], truncated=[True, False, True])
    assert sides(group, Config()) == ([1], [2])


def test_weights_average_over_each_side_and_the_middle_is_dropped_unread():
    (group,) = weighed(contrast, [make_group([1, 2, 3, 4, 5], [5.0, 1.0, 4.0, 2.0, 3.0])], Config())
    assert group.weights == [0.5, -0.5, 0.5, -0.5]
    assert [len(ids) for ids in group.completions] == [1, 2, 3, 4]


# --- The loss by hand -----------------------------------------------------------------------------

NUMBERS = [[[-1.0, -3.0], [-1.0], [-4.0]]]  # mean log-probabilities -2, -1 and -4


def found(config, numbers=NUMBERS):
    (group,) = weighed(contrast, [make_group([2, 1, 1], [1.0, 0.0, 1.0])], config)
    logprobs = make_logprobs(numbers)
    return (*loss_of(contrast, [group], logprobs, config), logprobs)


def test_the_loss_is_a_logistic_of_the_difference_of_means_and_imitation_of_the_best():
    """Best -2 and -4, mean -3; worst -1; so the distance is -2."""
    loss, shares, _ = found(Config(sharpness=1.5, nll=0.1))
    assert float(shares["distance"]) == pytest.approx(-2)
    assert float(shares["contrast"]) == pytest.approx(log(1 + exp(1.5 * 2)))
    assert float(shares["logprob_best"]) == pytest.approx(-3)
    assert float(shares["logprob_worst"]) == pytest.approx(-1)
    assert float(shares["accuracy"]) == 0
    assert loss.item() == pytest.approx(log(1 + exp(3)) + 0.1 * 3)


def test_the_gradient_is_bounded_and_dies_out():
    """Without the logistic, the worst would be pushed down by 1 for ever."""
    slopes = []
    for worst in (0.0, -3.0, -30.0, -300.0):
        loss, _, logprobs = found(Config(sharpness=2.0, nll=0.0), [[[-1.0] * 2, [worst], [-1.0]]])
        loss.backward()
        slopes.append(logprobs.completion.grad[0, 1, 0].item())
    assert 2 >= slopes[0] > slopes[1] > slopes[2] >= slopes[3] >= 0
    assert slopes[2] < 1e-12
    assert slopes[0] == pytest.approx(2 / (1 + exp(-2)))


def test_imitation_alone_pushes_the_best_up_by_their_own_means():
    config = Config(sharpness=1e-9, nll=1.0)
    loss, _, logprobs = found(config)
    loss.backward()
    assert logprobs.completion.grad[0].flatten().tolist() == pytest.approx(
        [-0.25, -0.25, 0, 0, -0.5, 0], abs=1e-6
    )


@pytest.mark.parametrize("parts", splits(3))
def test_shares_of_a_step_add_up_however_it_is_split(parts):
    groups = [
        make_group([2, 4, 3], [1.0, 0.0, 0.5]),
        make_group([5, 1], [0.0, 1.0]),
        make_group([2, 2, 1, 4], [0.5, float("nan"), 0.7, 0.1], present=[True, False, True, True]),
    ]
    weighed(contrast, groups, Config(k_top=1, k_bottom=1))
    numbers = random_numbers(groups)
    whole = summed_over(contrast, groups, numbers, [range(3)], Config())
    assert summed_over(contrast, groups, numbers, parts, Config()) == pytest.approx(whole, rel=1e-5)


# --- Where completions come from ------------------------------------------------------------------

GOOD = {"id": "a", "role": "student", "thought": "I count", "answer": "4"}
BAD = {"id": "b", "role": "teacher", "thought": "I guess", "answer": "5"}


def groups_of(*completions, **fields):
    question = Question(
        id="1", question="what is it", reference_answer="4", completions=list(completions), **fields
    )
    skipped = Skipped()
    return contrast.groups(question, Config(source="dataset"), Words(), skipped), skipped


def test_stored_completions_are_contrasted_by_rankings_or_by_the_next_that_tells_them_apart():
    rankings = [{"judge": "person-1", "ranks": {"a": 2, "b": 1}}]
    (group,), _ = groups_of(GOOD, BAD, rankings=rankings)
    assert sides(group, Config()) == ([1], [0])
    (group,), _ = groups_of(GOOD, BAD)
    assert sides(group, Config()) == ([0], [1])


def test_stored_completions_that_nothing_tells_apart_are_left_out_and_counted():
    groups, skipped = groups_of(GOOD, {**BAD, "answer": "4"})
    assert groups == []
    assert skipped["question without a preference"] == 1


def test_rounds_come_from_where_the_source_says():
    drawn, stored = Config(rounds=3), Config(rounds=3, source="dataset")
    assert [each.source for each in contrast.rounds(drawn)] == ["policy"] * 3
    assert [each.source for each in contrast.rounds(stored)] == ["dataset"]


def test_it_says_that_it_is_not_grpo():
    assert "not GRPO" in contrast.TITLE


# --- In the engine --------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_best_of_the_dataset_leave_the_worst_behind(tmp_path, family):
    steps, _ = trained(tmp_path, family, "contrast", source="dataset")
    assert abs(steps[0]["distance"]) < 0.1
    assert steps[-1]["distance"] > 0.3
    assert steps[-1]["loss"] < steps[0]["loss"]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_what_is_rewarded_is_drawn_more_often(tmp_path, family):
    settings = {"rounds": 12, "epochs": 1, "groups_per_step": 8, "max_completion_tokens": 2}
    steps, _ = trained(tmp_path, family, "contrast", group_size=16, learning_rate=0.015, **settings)
    rewards = [step["reward_mean"] for step in steps]
    assert sum(rewards[-3:]) / 3 > sum(rewards[:2]) / 2 + 0.25
