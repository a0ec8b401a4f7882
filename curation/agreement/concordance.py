"""How far rankings and votes agree: the formulas, on plain numbers.

* Kendall's tau-b of two rankings: `(C - D) / sqrt((P - Tx)(P - Ty))` over the P pairs that both
  placed; C are ordered alike, D the other way round, Tx and Ty tied by one of them.
* Kendall's W of m rankings of n rationales, corrected for ties:
  `12 S / (m^2 (n^3 - n) - m T)`, S the squared deviations of the rank sums, T the sum of `t^3 - t`
  over ties. Of two rankings without ties it is (Spearman's rho + 1) / 2: 0 upside down, 1 alike.
* Krippendorff's alpha: `1 - D_observed / D_expected` from the coincidences of values within units;
  nominal for accept and reject, ordinal for ranks.

A rationale that somebody did not place is missing, never last. tau-b looks at what both placed, W
at what everybody placed, alpha at whatever two or more said. Each is None (or NaN in an array)
where the data do not define it: too little in common, or no variation at all.

Sources: Kendall, Rank Correlation Methods (1948), ch. 3 and 6; Krippendorff, Content Analysis
(2019), ch. 12. Checked against scipy and the package `krippendorff` in the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Said = Mapping[int, float]  # rationale -> rank
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def mid_ranks(said: Said) -> dict[int, float]:
    """Ranks from 1, ties at their mean: {a: 1, b: 1, c: 3} -> {a: 1.5, b: 1.5, c: 3}."""
    values = list(said.values())
    return {
        one: 1 + sum(v < rank for v in values) + (values.count(rank) - 1) / 2
        for one, rank in said.items()
    }


def tau_b(one: Said, other: Said) -> float | None:
    """Kendall's tau-b over what both placed."""
    both = [(one[key], other[key]) for key in one if key in other]
    score = ones = others = 0
    for n, (x, y) in enumerate(both):
        for x2, y2 in both[:n]:
            dx, dy = _sign(x - x2), _sign(y - y2)
            score, ones, others = score + dx * dy, ones + abs(dx), others + abs(dy)
    return score / sqrt(ones * others) if ones and others else None


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)


def kendalls_w(rankings: Sequence[Said]) -> float | None:
    """Kendall's W, corrected for ties, over what everybody placed."""
    if len(rankings) < 2:
        return None
    shared = set.intersection(*(set(said) for said in rankings))
    n, m = len(shared), len(rankings)
    ranked = [mid_ranks({key: said[key] for key in shared}) for said in rankings]
    ties = sum(_tied(list(ranks.values())) for ranks in ranked)
    most = m * m * (n**3 - n) - m * ties
    if not most:
        return None
    sums = [sum(ranks[key] for ranks in ranked) for key in shared]
    mean = sum(sums) / n
    return 12 * sum((total - mean) ** 2 for total in sums) / most


def _tied(ranks: list[float]) -> int:
    return sum(ranks.count(rank) ** 3 - ranks.count(rank) for rank in set(ranks))


def splits(votes: Iterable[tuple[int, str]]) -> bool:
    """Whether some rationale is accepted by one and rejected by another."""
    said: dict[int, set[str]] = {}
    for rationale, decision in votes:
        said.setdefault(rationale, set()).add(decision)
    return any(len(decisions) > 1 for decisions in said.values())


def taus(one: Floats, other: Floats) -> Floats:
    """tau-b of each row of two arrays of ranks `[P, N]`; NaN is unplaced. Returns `[P]`."""
    n = one.shape[1]
    score = np.zeros(len(one))
    ones, others = np.zeros(len(one)), np.zeros(len(one))
    for i in range(n):
        for j in range(i):
            dx, dy = np.sign(one[:, i] - one[:, j]), np.sign(other[:, i] - other[:, j])
            known = ~(np.isnan(dx) | np.isnan(dy))
            dx, dy = np.where(known, dx, 0.0), np.where(known, dy, 0.0)
            score, ones, others = score + dx * dy, ones + np.abs(dx), others + np.abs(dy)
    with np.errstate(invalid="ignore", divide="ignore"):
        return score / np.sqrt(ones * others)


def counts_of(unit: Ints, value: Ints) -> tuple[Floats, Ints]:
    """How often each unit was given each value `[U, V]`, and the first row `[U]` that names it.

    `unit` and `value` `[n]` are what was said: that somebody gave the unit the value. A unit with
    a single value pairs with nothing and is left out.
    """
    known, place = np.unique(value, return_inverse=True)
    units, first, row = np.unique(unit, return_index=True, return_inverse=True)
    counts = np.zeros((len(units), len(known)))
    np.add.at(counts, (row, place), 1)
    paired = counts.sum(1) > 1
    return counts[paired], first[paired]


def coincidences(bundle: Ints, counts: Floats) -> Floats:
    """The coincidences `[G, V, V]` of the values within units, summed by bundle `[U]`."""
    weight = 1 / (counts.sum(1) - 1)
    parts = np.zeros((int(bundle.max(initial=-1)) + 1, counts.shape[1], counts.shape[1]))
    for group in range(len(parts)):
        own, of_own = counts[bundle == group], weight[bundle == group]
        parts[group] = own.T @ (own * of_own[:, None]) - np.diag(of_own @ own)
    return parts


def alphas(matrix: Floats, *, ordinal: bool) -> Floats:
    """Krippendorff's alpha of each matrix of coincidences `[B, V, V]`; NaN where undefined."""
    margins = matrix.sum(2)  # [B, V]
    distance = _ordinal(margins) if ordinal else 1 - np.eye(matrix.shape[1])[None]
    total = margins.sum(1)
    observed = (matrix * distance).sum((1, 2))
    expected = (margins[:, :, None] * margins[:, None, :] * distance).sum((1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (total - 1) * observed / expected, np.nan)


def _ordinal(margins: Floats) -> Floats:
    """Squared distances `[B, V, V]` of ordered values: the share of all that lies between them."""
    upto = margins.cumsum(1)
    middle = upto - margins / 2
    return (middle[:, :, None] - middle[:, None, :]) ** 2


def alpha(unit: Ints, value: Ints, *, ordinal: bool) -> float | None:
    """Krippendorff's alpha of what was said of units; values in their natural order."""
    counts, first = counts_of(unit, value)
    found = alphas(coincidences(np.zeros_like(first), counts), ordinal=ordinal)
    return float(found[0]) if len(found) and np.isfinite(found[0]) else None


def mid_ranks_of(ranks: Floats) -> Floats:
    """Each row's ranks `[R, N]` from 1, ties at their mean; NaN, unplaced, stays."""
    found = np.full_like(ranks, np.nan)
    for n in range(ranks.shape[1]):
        own = ranks[:, n, None]
        place = (ranks < own).sum(1) + ((ranks == own).sum(1) + 1) / 2
        found[:, n] = np.where(np.isfinite(ranks[:, n]), place, np.nan)
    return found
