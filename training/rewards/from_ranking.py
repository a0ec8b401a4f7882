"""Ranks become rewards here and nowhere else.

A ranking is partial and may have ties: rank 1 is best, equal ranks are tied, and an id that a
judge did not place is *unknown* to that judge, not last. Three readings:

* `mean_rank`: per judge `(K - rank) / (K - 1)` over the K placed, ties at their mean rank; mean
  over judges. In [0, 1].
* `win_rate`: all pairs of all judges; `w = (wins + ties/2 + 1/2) / (comparisons + 1)`, reward
  `2w - 1`. In (-1, 1).
* `plackett_luce`: maximum a posteriori utilities of the Plackett-Luce model with a normal prior
  (perfect winners would otherwise run away), found by Newton's method; ties by Efron's
  approximation, which averages over the orders a tie may hide. Sum zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from training.decoding.sampling import grouped

Ranks = dict[str, int]
Reading = Literal["mean_rank", "win_rate", "plackett_luce"]
JudgeWeights = Annotated[
    Literal["equal", "reliability"],
    Field(
        title="Judges count",
        description="equal: all the same. reliability: by how far the other judges of the dataset "
        "agree with each; who ranks at random counts for nothing.",
        json_schema_extra=grouped("Rewards"),
    ),
]


def from_ranking(
    ids: Sequence[str],
    rankings: Sequence[Ranks],
    reading: Reading = "plackett_luce",
    weights: Sequence[float] | None = None,
) -> tuple[list[float], list[bool]]:
    """Rewards `[N]` and present `[N]` of the completions `ids`.

    `rankings` holds one dict of ranks for each judge, `weights` how much each judge counts (1 by
    default). A completion is present if some judge placed it beside another one; an absent one
    has reward NaN.
    """
    counts = [1.0] * len(rankings) if weights is None else list(weights)
    known = set(ids)
    placed = [
        ({i: rank for i, rank in ranks.items() if i in known}, weight)
        for ranks, weight in zip(rankings, counts, strict=True)
    ]
    useful = [(ranks, weight) for ranks, weight in placed if len(ranks) >= 2 and weight > 0]
    present = [any(i in ranks for ranks, _ in useful) for i in ids]
    values = READINGS[reading]([i for i in ids if any(i in r for r, _ in useful)], useful)
    return [values.get(i, float("nan")) for i in ids], present


def separate_parts(ids: Sequence[str], rankings: Sequence[Ranks]) -> int:
    """Into how many parts the placed completions fall that nobody compared with one another.

    With more than one, what a part's rewards say beside another's comes from the prior alone.
    """
    parts: list[set[str]] = []
    for ranks in rankings:
        placed = {i for i in ids if i in ranks}
        if len(placed) > 1:
            touched = [part for part in parts if part & placed]
            parts = [part for part in parts if not part & placed]
            parts.append(placed.union(*touched))
    return len(parts)


Weighted = list[tuple[Ranks, float]]


def mean_rank(ids: Sequence[str], rankings: Weighted) -> dict[str, float]:
    """The weighted mean over judges of where each stands between last (0) and first (1)."""
    totals = dict.fromkeys(ids, 0.0)
    judges = dict.fromkeys(ids, 0.0)
    for ranks, weight in rankings:
        for i, standing in standings(ranks).items():
            totals[i] += weight * standing
            judges[i] += weight
    return {i: totals[i] / judges[i] for i in ids}


def standings(ranks: Ranks) -> dict[str, float]:
    """One judge's places between 0 and 1; ties stand at their mean."""
    better = {i: sum(other < rank for other in ranks.values()) for i, rank in ranks.items()}
    tied = {i: sum(other == rank for other in ranks.values()) for i, rank in ranks.items()}
    last = len(ranks) - 1
    return {i: 1 - (better[i] + (tied[i] - 1) / 2) / last for i in ranks}


def win_rate(ids: Sequence[str], rankings: Weighted) -> dict[str, float]:
    """Shrunken share of comparisons won, from -1 to 1."""
    wins = dict.fromkeys(ids, 0.0)
    compared = dict.fromkeys(ids, 0.0)
    for ranks, weight in rankings:
        for i, rank in ranks.items():
            for j, other in ranks.items():
                if i != j:
                    wins[i] += weight * (1.0 if rank < other else 0.5 if rank == other else 0.0)
                    compared[i] += weight
    return {i: 2 * (wins[i] + 0.5) / (compared[i] + 1) - 1 for i in ids}


def plackett_luce(
    ids: Sequence[str], rankings: Weighted, prior: float = 0.1, steps: int = 100
) -> dict[str, float]:
    """Utilities by damped Newton steps; `prior` is the weight of the L2 term.

    The posterior is strictly concave, so there is one answer and ties tie exactly in it up to
    rounding, which the last digits are cut off for.
    """
    if not ids:
        return {}
    place = {i: n for n, i in enumerate(ids)}
    stages = [stage for ranks, weight in rankings for stage in tied_stages(ranks, weight, place)]
    utilities = np.zeros(len(ids))
    value, slope, curve = log_posterior(utilities, stages, prior)
    for _ in range(steps):
        move = np.linalg.solve(-curve, slope)
        while (new := log_posterior(utilities + move, stages, prior))[0] < value - 1e-12:
            move /= 2
        utilities, (value, slope, curve) = utilities + move, new
        if np.abs(move).max() < 1e-10:
            break
    centred = np.round(utilities - utilities.mean(), 9)
    return {i: float(u) for i, u in zip(ids, centred, strict=True)}


def utilities_with_bounds(
    rankings: Sequence[Mapping[int, int]], prior: float = 0.1, z: float = 1.959964
) -> dict[int, tuple[float, float, float]]:
    """Utility, lower and upper bound of all that some ranking compares, for people to look at.

    The interval is Laplace's: the posterior is taken as normal about its mode, with the inverse
    curvature there as covariance, and utilities are read as differences from their mean.
    """
    compared = [({str(i): rank for i, rank in r.items()}, 1.0) for r in rankings if len(r) > 1]
    ids = sorted({i for ranks, _ in compared for i in ranks}, key=int)
    if not ids:
        return {}
    values = plackett_luce(ids, compared, prior)
    place = {i: n for n, i in enumerate(ids)}
    stages = [stage for ranks, weight in compared for stage in tied_stages(ranks, weight, place)]
    at = np.array([values[i] for i in ids])
    _, _, curve = log_posterior(at, stages, prior)
    centring = np.eye(len(ids)) - 1 / len(ids)
    spread = np.sqrt(np.diag(centring @ np.linalg.inv(-curve) @ centring))
    return {
        int(i): (u, u - z * s, u + z * s)
        for i, u, s in zip(ids, at.tolist(), spread.tolist(), strict=True)
    }


Stage = tuple[list[int], list[int], float]  # the tied winners, those left, the judge's weight


def tied_stages(ranks: Ranks, weight: float, place: dict[str, int]) -> list[Stage]:
    """A ranking as choices: at each rank its holders are chosen from those left."""
    stages = []
    left = sorted(ranks, key=lambda i: ranks[i])
    for rank in sorted(set(ranks.values())):
        tied = [i for i in left if ranks[i] == rank]
        stages.append(([place[i] for i in tied], [place[i] for i in left], weight))
        left = [i for i in left if ranks[i] != rank]
    return stages


Floats = NDArray[np.float64]


def log_posterior(
    utilities: Floats, stages: Sequence[Stage], prior: float
) -> tuple[float, Floats, Floats]:
    """Value, gradient and Hessian. A stage of d tied winners D among S contributes
    `sum_D u - sum_k log(sum_S e^u - (k/d) sum_D e^u)`, k = 0 … d-1 (Efron)."""
    n = len(utilities)
    value = -0.5 * prior * float(utilities @ utilities)
    slope, curve = -prior * utilities, -prior * np.eye(n)
    for tied, left, weight in stages:
        for k in range(len(tied)):
            mass = np.zeros(n)
            mass[left] = np.exp(utilities[left])
            mass[tied] *= 1 - k / len(tied)
            total = mass.sum()
            share = mass / total
            value -= weight * float(np.log(total))
            slope = slope - weight * share
            curve = curve - weight * (np.diag(share) - np.outer(share, share))
        value += weight * float(utilities[tied].sum())
        slope[tied] += weight
    return value, slope, curve


READINGS: dict[str, Callable[[Sequence[str], Weighted], dict[str, float]]] = {
    "mean_rank": mean_rank,
    "win_rate": win_rate,
    "plackett_luce": plackett_luce,
}
