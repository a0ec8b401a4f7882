"""Utilities with intervals, as a question's page shows them."""

from __future__ import annotations

import numpy as np
import pytest

from training.rewards.from_ranking import from_ranking, utilities_with_bounds


def test_a_pair_by_hand():
    """One ranking of two: the slope of log σ(d) - 0.05 (d²/2) is zero at d, u = ±d/2."""
    bounds = utilities_with_bounds([{7: 1, 9: 2}])
    gap = bounds[7][0] - bounds[9][0]
    assert 1 / (1 + np.exp(gap)) == pytest.approx(0.05 * gap, abs=1e-6)
    # The variance of the difference is 1 / (σ(1 - σ) + 0.05); each utility has a quarter of it.
    sigma = 1 / (1 + np.exp(-gap))
    half = 1.959964 * np.sqrt(1 / (sigma * (1 - sigma) + 0.05)) / 2
    assert bounds[7][2] - bounds[7][0] == pytest.approx(half, abs=1e-6)


def test_they_are_the_rewards():
    rankings = [{1: 1, 2: 2, 3: 2}, {1: 2, 2: 1, 3: 3}, {2: 1, 3: 1}]
    texts = [{str(pk): rank for pk, rank in ranks.items()} for ranks in rankings]
    rewards, _ = from_ranking(["1", "2", "3"], texts)
    bounds = utilities_with_bounds(rankings)
    assert [bounds[pk][0] for pk in (1, 2, 3)] == pytest.approx(rewards)


def test_what_nobody_compared_has_none():
    assert utilities_with_bounds([]) == {}
    assert utilities_with_bounds([{1: 1}]) == {}
    assert set(utilities_with_bounds([{1: 1, 2: 2}, {3: 1}])) == {1, 2}


def test_more_rankings_narrow_the_interval_by_the_root_of_their_number():
    def width(copies: int) -> float:
        ranks = [{1: 1, 2: 2, 3: 3}, {3: 1, 2: 2, 1: 3}, {2: 1, 1: 2, 3: 3}] * copies
        _, low, high = utilities_with_bounds(ranks)[2]
        return high - low

    assert width(100) / width(400) == pytest.approx(2, rel=0.02)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    """Judges who choose by the model itself; 0.95 ± 0.03 over 800 intervals."""
    draw = np.random.default_rng(0)
    truth = np.array([1.0, 0.3, -0.3, -1.0])
    held = []
    for _ in range(200):
        rankings = []
        for _ in range(20):
            order = np.argsort(-(truth + draw.gumbel(size=4)))
            rankings.append({int(i): place for place, i in enumerate(order, 1)})
        bounds = utilities_with_bounds(rankings)
        held += [bounds[i][1] <= truth[i] <= bounds[i][2] for i in range(4)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)
