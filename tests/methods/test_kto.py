"""KTO: the loss and its reference point by hand, labels and weights, and that training follows."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import pytest

from tests.engine.shapes import FAMILIES
from tests.methods.preference_runs import make_rows, trained
from tests.methods.renderer import Words
from tests.methods.tiny import (
    make_batch,
    make_group,
    make_logprobs,
    random_numbers,
    splits,
    weighed,
)
from training.decoding.record import Question
from training.engine.job import BadJob
from training.methods import kto
from training.methods.base import Skipped, window_of
from training.methods.kto import Config


def sigmoid(value: float) -> float:
    return 1 / (1 + exp(-value))


# --- The loss by hand -----------------------------------------------------------------------------

# Log-likelihoods -4 and -2 under the student, -5 and -1.5 under the frozen start: u = 1 and -0.5.
NUMBERS = [[[-1.0, -3.0], [-2.0]]]
START = [[-2.0, -3.0], [-1.5]]


def labelled(config: Config, rewards=(1.0, 0.0)):
    return weighed(kto, [make_group([2, 1], rewards, ref_logprobs=START)], config)


def found(groups, moved: float, config: Config, numbers=NUMBERS):
    """Loss and metrics where the mean over mismatched completions is `moved`."""
    window = replace(window_of(groups), aside=moved)
    return kto.objective(make_logprobs(numbers), make_batch(groups, window), config)


def test_gains_and_losses_are_felt_from_the_reference_point():
    config = Config(beta=0.2)
    loss, shares = found(labelled(config), 0.25, config)
    gain, relief = sigmoid(0.2 * (1 - 0.25)), sigmoid(0.2 * (0.25 - -0.5))
    assert loss.item() == pytest.approx(((1 - gain) + (1 - relief)) / 2)
    assert float(shares["kl"]) == pytest.approx(0.25)
    assert (float(shares["desirable"]), float(shares["undesirable"])) == (1, 1)
    assert float(shares["reward_desirable"]) == pytest.approx(0.2)
    assert float(shares["reward_undesirable"]) == pytest.approx(-0.1)
    assert float(shares["logprob_desirable"]) == pytest.approx(-2)
    assert float(shares["logprob_undesirable"]) == pytest.approx(-2)
    assert float(shares["accuracy"]) == 1


def test_the_reference_point_is_never_below_zero():
    config = Config()
    below, zero = found(labelled(config), -3.0, config), found(labelled(config), 0.0, config)
    assert below[0].item() == pytest.approx(zero[0].item())
    assert float(below[1]["kl"]) == 0


def test_each_kind_has_its_own_weight():
    config = Config(beta=0.2, desirable_weight=3.0, undesirable_weight=0.5)
    loss, _ = found(labelled(config), 0.0, config)
    first, second = 3 * (1 - sigmoid(0.2)), 0.5 * (1 - sigmoid(0.1))
    assert loss.item() == pytest.approx((first + second) / 2)


def test_the_gradient_lifts_the_desirable_and_lowers_the_other():
    config = Config(beta=0.2)
    groups, logprobs = labelled(config), make_logprobs(NUMBERS)
    kto.objective(logprobs, make_batch(groups), config)[0].backward()
    slopes = logprobs.completion.grad[0].flatten().tolist()
    up = 0.2 * sigmoid(0.2) * sigmoid(-0.2) / 2
    down = 0.2 * sigmoid(0.1) * sigmoid(-0.1) / 2
    assert slopes == pytest.approx([-up, -up, down, 0])


def test_what_has_moved_far_enough_is_pushed_no_more():
    config = Config(beta=1.0)
    logprobs = make_logprobs([[[-1.0, -3.0], [-60.0]]])
    kto.objective(logprobs, make_batch(labelled(config)), config)[0].backward()
    assert abs(logprobs.completion.grad[0, 1, 0].item()) < 1e-12


# --- Labels and weights ---------------------------------------------------------------------------


def test_a_reward_above_the_threshold_is_desirable():
    (group,) = weighed(kto, [make_group([1, 1, 1], [0.9, 0.6, 0.2])], Config(threshold=0.6))
    assert group.weights == [1.0, -1.0, -1.0]


def test_balance_raises_the_rarer_kind_until_both_count_the_same():
    groups = [make_group([1, 1, 1], [1.0, 0.0, 0.0]), make_group([1], [0.0])]
    weighed(kto, groups, Config(balance=True, undesirable_weight=2.0))
    weights = [weight for group in groups for weight in group.weights]
    assert weights == [3.0, -2.0, -2.0, -2.0]


def test_labels_of_one_kind_have_nothing_to_balance_with():
    (group,) = weighed(kto, [make_group([1, 1], [1.0, 1.0])], Config(balance=True))
    assert group.weights == [1.0, 1.0]


def test_the_reference_point_is_read_from_completions_of_another_question():
    groups = [make_group([1, 2], [1.0, 0.0], prompt=[n], completions=[[10 + n], [20 + n]])
              for n in range(3)]  # fmt: skip
    weighed(kto, groups, Config())
    asides = [group.aside for group in groups]
    assert [aside.prompt for aside in asides] == [[0], [1], [2]]
    assert [aside.completions for aside in asides] == [[[12]], [[10]], [[11]]]
    weighed(kto, groups, Config(mismatched=2))
    assert groups[1].aside.completions == [[10], [20]]


def test_where_there_is_no_other_question_the_reference_point_is_zero():
    groups = weighed(kto, [make_group([1, 2], [1.0, 0.0])], Config())
    assert groups[0].aside is None
    groups = weighed(kto, [make_group([1], [1.0]), make_group([1], [0.0], prompt=[1])], Config())
    assert all(group.aside for group in groups)
    weighed(kto, groups, Config(mismatched=0))
    assert not any(group.aside for group in groups)


def test_the_reference_point_is_the_mean_over_mismatched_completions():
    aside = make_group([2, 1], ref_logprobs=[[-2.0, -3.0], [-1.5]])
    share = kto.aside(make_logprobs(NUMBERS), make_batch([aside]), Config())
    assert share.item() == pytest.approx((1.0 - 0.5) / 2)


@pytest.mark.parametrize("parts", splits(3))
def test_shares_of_a_step_add_up_however_it_is_split(parts):
    groups = [
        make_group([2, 4, 3], [1.0, 0.0, 1.0]),
        make_group([5], [0.0], prompt=[1]),
        make_group([2, 2], [1.0, 0.0], prompt=[2]),
    ]
    for group, start in zip(groups, random_numbers(groups, 1), strict=True):
        group.ref_logprobs = start
    weighed(kto, groups, Config())
    window = replace(window_of(groups), aside=0.4)
    numbers = random_numbers(groups)

    def total(pieces):
        batches = [make_batch([groups[b] for b in part], window) for part in pieces]
        texts = [make_logprobs([numbers[b] for b in part]) for part in pieces]
        shares = [kto.objective(t, b, Config())[1] for t, b in zip(texts, batches, strict=True)]
        return {name: sum(float(share[name]) for share in shares) for name in shares[0]}

    assert total(parts) == pytest.approx(total([range(3)]), rel=1e-5)
    assert total(parts)["desirable"] == 3
    assert total(parts)["kl"] == pytest.approx(0.4)


# --- Where labels come from -----------------------------------------------------------------------


def groups_of(*completions, **settings):
    texts = [{"id": str(n), "thought": f"way {n}", "answer": "4", **each}
             for n, each in enumerate(completions)]  # fmt: skip
    question = Question(id="1", question="what is it", reference_answer="4", completions=texts)
    skipped = Skipped()
    return kto.groups(question, Config(**settings), Words(), skipped), skipped


def test_reviews_are_labels_and_what_nobody_reviewed_is_left_out_and_counted():
    (group,), skipped = groups_of({"accepted": True}, {"accepted": False}, {})
    assert group.rewards == [1.0, 0.0]
    assert group.completions == [Words().completion(f"way {n}", "4") for n in range(2)]
    assert skipped["without a label"] == 1


def test_one_review_is_enough():
    (group,), skipped = groups_of({"accepted": False})
    assert group.rewards == [0.0]
    assert not skipped


def test_right_answers_can_be_the_labels():
    (group,), _ = groups_of({}, {"answer": "5"}, reward_from="rewards")
    assert group.rewards == [1.0, 0.0]


def test_a_question_without_reviews_is_left_out_and_counted():
    groups, skipped = groups_of({}, {})
    assert groups == []
    assert skipped["question without a labelled completion"] == 1


# --- In the engine --------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_accepted_gains_on_what_was_rejected(tmp_path, family):
    steps, _ = trained(tmp_path, family, "kto", balance=True)
    assert steps[0]["loss"] == pytest.approx(0.5 * 1.5, rel=0.05)  # weights 3 and 1, one of four
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert steps[-1]["reward_desirable"] > steps[-1]["reward_undesirable"] + 0.05


def test_forwards_of_any_size_end_in_the_same_losses(tmp_path):
    """The reference point is one number of the step, not of its forwards."""
    rows = make_rows()
    for row in rows:
        for completion in row["completions"]:
            completion["accepted"] = True  # all is to rise, so the mismatched rise as well
    runs = [
        trained(tmp_path / str(tokens), "llama", "kto", rows, tokens_per_batch=tokens)[0]
        for tokens in (1, 100_000)
    ]
    apart, together = ([step["loss"] for step in steps] for steps in runs)
    assert apart == pytest.approx(together, rel=1e-4)
    assert max(step["kl"] for step in runs[0]) > 0.01


def test_a_dataset_without_reviews_is_refused_in_words(tmp_path):
    rows = make_rows(2)
    for row in rows:
        for completion in row["completions"]:
            del completion["accepted"]
    with pytest.raises(BadJob, match="question without a labelled completion: 2"):
        trained(tmp_path, "llama", "kto", rows)
