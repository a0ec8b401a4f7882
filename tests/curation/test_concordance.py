"""The formulas of agreement: by hand, and beside scipy and `krippendorff` on random data."""

from __future__ import annotations

import warnings

import krippendorff
import numpy as np
import pytest
from scipy.stats import friedmanchisquare, kendalltau

from curation.agreement.concordance import alpha, kendalls_w, mid_ranks_of, splits, tau_b, taus

SEEDS = range(40)


def random_ranks(seed: int, judges: int = 2, size: int = 6, gaps: float = 0.2):
    """Ranks `[judges, size]` with ties, and NaN where a judge left something out."""
    rng = np.random.default_rng(seed)
    ranks = rng.integers(1, 5, (judges, size)).astype(float)
    ranks[rng.random((judges, size)) < gaps] = np.nan
    return ranks


def said(row) -> dict[int, int]:
    return {n: int(rank) for n, rank in enumerate(row) if rank == rank}


def test_tau_by_hand():
    # Of the three pairs two are ordered alike and one the other way round: (2 - 1) / 3.
    assert tau_b({1: 1, 2: 2, 3: 3}, {1: 1, 2: 3, 3: 2}) == pytest.approx(1 / 3)
    assert tau_b({1: 1, 2: 2}, {1: 2, 2: 1}) == -1
    # A tie of one judge: one pair of C, none of D; sqrt(1 * 1) of the pairs that both placed.
    assert tau_b({1: 1, 2: 2, 3: 3}, {1: 1, 2: 1}) is None
    assert tau_b({1: 1}, {2: 1}) is None


@pytest.mark.parametrize("seed", SEEDS)
def test_tau_is_that_of_scipy_with_ties_and_gaps(seed):
    one, other = random_ranks(seed)
    both = ~np.isnan(one) & ~np.isnan(other)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = kendalltau(one[both], other[both]).statistic
    ours = tau_b(said(one), said(other))
    assert (ours is None) if np.isnan(theirs) else ours == pytest.approx(theirs)
    assert taus(one[None], other[None])[0] == pytest.approx(theirs, nan_ok=True)


def test_w_by_hand():
    alike = {1: 1, 2: 2, 3: 3}
    assert kendalls_w([alike, alike]) == 1
    assert kendalls_w([alike, {1: 3, 2: 2, 3: 1}]) == 0
    # Rank sums 2, 5, 5 of mean 4: S = 6; 12 * 6 / (4 * 24) = 0.75.
    assert kendalls_w([alike, {1: 1, 2: 3, 3: 2}]) == 0.75


def test_w_looks_at_what_everybody_placed():
    assert kendalls_w([{1: 1, 2: 2, 3: 3}, {1: 1, 2: 2}]) == 1
    assert kendalls_w([{1: 1, 2: 2}, {3: 1, 2: 2}]) is None
    assert kendalls_w([{1: 1, 2: 1}, {1: 1, 2: 1}]) is None
    assert kendalls_w([{1: 1, 2: 2}]) is None


@pytest.mark.parametrize("seed", SEEDS)
def test_w_is_friedmans_statistic_of_scipy_scaled(seed):
    ranks = random_ranks(seed, judges=3 + seed % 3, size=5, gaps=0)
    judges, size = ranks.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chi2 = friedmanchisquare(*ranks.T).statistic
    assert kendalls_w([said(row) for row in ranks]) == pytest.approx(chi2 / (judges * (size - 1)))


def spoken(table) -> tuple[np.ndarray, np.ndarray]:
    """A table `[judges, units]` with gaps as (unit, value) rows; values doubled to be whole."""
    judge, unit = np.nonzero(~np.isnan(table))
    return unit, (2 * table[judge, unit]).astype(int)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("level", ["nominal", "ordinal"])
def test_alpha_is_that_of_the_package(seed, level):
    table = random_ranks(seed, judges=2 + seed % 4, size=12, gaps=0.3)
    theirs = krippendorff.alpha(reliability_data=table, level_of_measurement=level)
    assert alpha(*spoken(table), ordinal=level == "ordinal") == pytest.approx(theirs)


@pytest.mark.parametrize("seed", SEEDS)
def test_alpha_of_ranks_takes_ties_at_their_mean(seed):
    ranks = mid_ranks_of(random_ranks(seed, judges=3))
    theirs = krippendorff.alpha(reliability_data=ranks, level_of_measurement="ordinal")
    assert alpha(*spoken(ranks), ordinal=True) == pytest.approx(theirs)


def test_alpha_is_silent_where_nothing_varies_or_nothing_pairs():
    assert alpha(np.array([0, 0, 1, 1]), np.array([1, 1, 1, 1]), ordinal=False) is None
    assert alpha(np.array([0, 1]), np.array([0, 1]), ordinal=False) is None
    assert alpha(np.array([], dtype=int), np.array([], dtype=int), ordinal=True) is None


def test_ties_stand_at_their_mean_and_gaps_stay():
    found = mid_ranks_of(np.array([[1, 1, 3, np.nan], [2, 9, 5, 5]]))
    assert found[0, :3].tolist() == [1.5, 1.5, 3]
    assert np.isnan(found[0, 3])
    assert found[1].tolist() == [1, 4, 2.5, 2.5]


def test_votes_split_where_one_accepts_what_another_rejects():
    assert splits([(1, "accept"), (1, "reject")])
    assert not splits([(1, "accept"), (2, "reject"), (1, "accept")])
