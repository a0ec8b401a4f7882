"""95 % intervals by drawing questions again, seeded: the same data give the same interval.

What people say of one question hangs together, so questions are what is drawn. A figure here is a
function of sums over questions; above 500 questions they are put into 500 bundles at random, and
bundles are drawn, which costs the same for any number of questions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from curation.agreement.concordance import Floats, Ints

SEED = 20_261_121
RESAMPLES = 1000
BUNDLES = 500

Interval = tuple[float | None, float | None]


def bundles(question: Ints) -> Ints:
    """The bundle `[n]`, from 0, that each row's question falls into."""
    known, row = np.unique(question, return_inverse=True)
    place = np.random.default_rng(SEED).permutation(len(known)) % BUNDLES
    return place[row]


def sums(bundle: Ints, *columns: Floats) -> Floats:
    """The columns `[n]` summed by bundle: `[G, columns]`."""
    size = int(bundle.max(initial=-1)) + 1
    return np.stack([np.bincount(bundle, column, size) for column in columns], axis=1)


def interval(parts: Floats, figure: Callable[[Floats], Floats]) -> Interval:
    """The middle 95 % of `figure` over sums of redrawn parts `[G, …]`; none of fewer than two."""
    size = len(parts)
    if size < 2:
        return None, None
    drawn = figure(np.tensordot(draws(size).astype(float), parts, 1))
    return _middle(drawn[np.isfinite(drawn)])


@lru_cache(maxsize=256)
def draws(size: int) -> NDArray[np.int16]:
    """How often each of `size` parts is in each sample: `[RESAMPLES, size]`, always the same."""
    rng = np.random.default_rng(SEED)
    return rng.multinomial(size, np.full(size, 1 / size), RESAMPLES).astype(np.int16)


def interval_of_median(values: Floats) -> Interval:
    """The same for a median: the median of a redrawn sample is the value at a random place, whose
    share of the sorted sample has a beta distribution."""
    size = len(values)
    if size < 2:
        return None, None
    half = (size + 1) / 2
    place = np.random.default_rng(SEED).beta(half, half, RESAMPLES) * size
    return _middle(np.sort(values)[place.astype(int)])


def _middle(drawn: Floats) -> Interval:
    if len(drawn) < RESAMPLES / 2:
        return None, None
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def ratio(found: Floats) -> Floats:
    """The mean, from `[…, (sum, count)]`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return found[..., 0] / found[..., 1]
