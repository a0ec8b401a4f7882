"""ORPO: odds and loss by hand, its bounds, and that training prefers what was preferred."""

from __future__ import annotations

from math import exp, log

import pytest
import torch

from tests.engine.shapes import FAMILIES
from tests.methods.preference_runs import trained
from tests.methods.tiny import (
    loss_of,
    make_group,
    make_logprobs,
    random_numbers,
    splits,
    summed_over,
)
from training.methods import orpo
from training.methods.base import Pair
from training.methods.orpo import Config, log_odds
from training.methods.pairs import pairs_of

NUMBERS = [[[-1.0, -3.0], [-1.0]]]  # mean log-probabilities -2 and -1


def odds(mean: float) -> float:
    return exp(mean) / (1 - exp(mean))


def one_pair():
    return make_group([2, 1], [1.0, 0.0], pairs=[Pair(0, 1)])


def test_the_loss_is_imitation_and_the_odds_ratio():
    loss, shares = loss_of(orpo, [one_pair()], make_logprobs(NUMBERS), Config(odds_weight=0.3))
    ratio = odds(-2) / odds(-1)
    expected = -log(ratio / (1 + ratio))  # - log sigmoid(log ratio)
    assert float(shares["odds_loss"]) == pytest.approx(expected)
    assert float(shares["nll"]) == pytest.approx(2)
    assert loss.item() == pytest.approx(2 + 0.3 * expected)
    assert float(shares["margin"]) == pytest.approx(log(ratio))
    assert float(shares["accuracy"]) == 0


def test_a_tenth_is_the_papers_weight():
    assert Config().odds_weight == 0.1


def test_without_the_odds_term_it_is_the_imitation_of_the_preferred():
    logprobs = make_logprobs(NUMBERS)
    loss, _ = loss_of(orpo, [one_pair()], logprobs, Config(odds_weight=0))
    loss.backward()
    assert loss.item() == pytest.approx(2)
    assert logprobs.completion.grad[0].flatten().tolist() == pytest.approx([-0.5, -0.5, 0, 0])


def test_a_completion_preferred_twice_is_imitated_twice():
    group = make_group([1, 1, 1], [1.0, 1.0, 0.0])
    group.pairs = [Pair(0, 2), Pair(1, 2), Pair(0, 1)]
    numbers = make_logprobs([[[-1.0], [-2.0], [-3.0]]])
    _, shares = loss_of(orpo, [group], numbers, Config())
    assert float(shares["nll"]) == pytest.approx((1 + 2 + 1) / 3)


def test_log_odds_are_exact_from_unlikely_to_certain():
    means = torch.tensor([-50.0, -2.0, -1e-3, 0.0], requires_grad=True)
    found = log_odds(means)
    assert found[:3].tolist() == pytest.approx([-50, log(odds(-2)), log(odds(-1e-3))], rel=1e-4)
    assert found.isfinite().all()
    found.sum().backward()
    assert means.grad.isfinite().all()
    assert means.grad[3] == 0  # certain already: nothing to gain


def test_the_push_on_the_worse_side_dies_out_as_the_odds_come_apart():
    slopes = []
    for worse in (-1.0, -4.0, -16.0):
        logprobs = make_logprobs([[[-1.0, -1.0], [worse]]])
        loss_of(orpo, [one_pair()], logprobs, Config())[0].backward()
        slopes.append(logprobs.completion.grad[0, 1, 0].item())
    assert slopes[0] > slopes[1] > slopes[2] > 0
    assert slopes[2] < 1e-5


@pytest.mark.parametrize("parts", splits(3))
def test_shares_of_a_step_add_up_however_it_is_split(parts):
    groups = [
        make_group([2, 4, 3], [1.0, 0.0, 0.5]),
        make_group([5, 1], [0.0, 1.0]),
        make_group([2, 2, 1], [0.5, 0.1, 0.7]),
    ]
    for group in groups:
        group.pairs = pairs_of(group, Config())
    numbers = random_numbers(groups)
    whole = summed_over(orpo, groups, numbers, [range(3)], Config())
    assert summed_over(orpo, groups, numbers, parts, Config()) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_preferred_becomes_likely_and_likelier_than_the_rest(tmp_path, family):
    steps, _ = trained(tmp_path, family, "orpo", odds_weight=1.0, epochs=8)
    assert steps[-1]["nll"] < steps[0]["nll"]
    assert steps[-1]["odds_loss"] < steps[0]["odds_loss"]
    assert steps[-1]["accuracy"] > 0.9
