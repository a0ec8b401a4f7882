"""How far each judge is to be trusted, from how they agree with one another.

Judge j of question q ranks by the Plackett-Luce model with utilities `beta_j u_q`: beta 0 ranks at
random, 1 is usual, more is surer. Over the whole dataset, the beta of a judge maximises

    sum of log P(ranking_jq | beta_j u_q^(-j)) - (beta_j - 1)^2 / (2 * 0.5^2),   beta_j >= 0

where the utilities u_q^(-j), with a standard normal prior, are those that the *other* judges' ranks
give under their present betas; judges take turns until nothing moves. Both parts are concave and
go by Newton's method; ties as in `from_ranking` (Efron). Ranks of whoever judged alone say nothing
about them, so their beta is 1.

Source: Crowd-BT (Chen et al., WSDM 2013) and its scale for Plackett-Luce. Departure: theirs fits
utilities and judges together. Then a judge's own ranks pull the utilities towards them, and whoever
judges alone, even at random, looks perfect; leaving one's own ranks out cures that.

Traps: agreement is not truth: a majority that errs alike is trusted. A judge who ranks upside down
gets 0, not a negative weight. The scale of beta depends on how unlike the completions are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.decoding.record import Question

SPREAD = 0.5  # of the prior of beta around 1
TURNS = 20
CLOSE = 1e-3  # a turn that moves no beta further than this is the last
MOST = 5000  # questions that are read; more tell nothing new of a judge

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def weighed(questions: Sequence[Question]) -> list[Question]:
    """The questions with the weight of each ranking set to its judge's reliability."""
    found = reliability(questions)
    return [
        question.model_copy(
            update={
                "rankings": [
                    ranking.model_copy(update={"weight": found.get(ranking.judge, 1.0)})
                    for ranking in question.rankings
                ]
            }
        )
        for question in questions
    ]


def reliability(questions: Sequence[Question]) -> dict[str, float]:
    """beta by judge, at least 0; 1 where nothing is known. The order of questions is no matter
    as long as they are at most `MOST`."""
    shared = [question for question in questions if len(question.rankings) > 1][:MOST]
    judges = sorted({ranking.judge for question in questions for ranking in question.rankings})
    choices = choices_of(shared, judges)
    betas = np.ones(len(judges))
    for _ in range(TURNS):
        before = betas.copy()
        for judge in np.unique(choices.judge):
            betas[judge] = _beta(choices, betas, judge)
        if np.abs(betas - before).max(initial=0) < CLOSE:
            break
    return {judge: round(float(beta), 3) for judge, beta in zip(judges, betas, strict=True)}


@dataclass(frozen=True)
class Choices:
    """Rankings as M choices among at most N completions of Q questions.

    One choice adds `b u . chosen - log(field . e^(b u))` to the log-likelihood; `field` is 1 for
    those that are left, less for the tied who went before (Efron), 0 for the rest.
    """

    field: Floats  # [M, N]
    chosen: Floats  # [M, N]; the tied share one place
    question: Ints  # [M]
    judge: Ints  # [M]

    def of(self, which: NDArray[np.bool_]) -> Choices:
        """Some of them."""
        return Choices(
            self.field[which], self.chosen[which], self.question[which], self.judge[which]
        )

    def shares(self, powers: Floats) -> Floats:
        """The probabilities `[M, N]` of being chosen, for exponents `[M, N]`."""
        mass = self.field * np.exp(powers - powers.max(1, keepdims=True))
        return mass / mass.sum(1, keepdims=True)


def choices_of(questions: Sequence[Question], judges: Sequence[str]) -> Choices:
    """Every ranking of two completions or more, as choices."""
    numbers = {judge: n for n, judge in enumerate(judges)}
    rows: list[tuple[Floats, Floats, int, int]] = []
    width = max((len(places_of(question)) for question in questions), default=0)
    for number, question in enumerate(questions):
        places = places_of(question)
        for ranking in question.rankings:
            ranks = np.full(width, np.inf)
            for one, rank in ranking.ranks.items():
                ranks[places[one]] = rank
            if np.isfinite(ranks).sum() > 1:
                rows += [(*row, number, numbers[ranking.judge]) for row in choices_in(ranks)]
    return Choices(
        np.array([row[0] for row in rows]).reshape(len(rows), width),
        np.array([row[1] for row in rows]).reshape(len(rows), width),
        np.array([row[2] for row in rows], dtype=np.int64),
        np.array([row[3] for row in rows], dtype=np.int64),
    )


def places_of(question: Question) -> dict[str, int]:
    """A number for each completion that somebody placed."""
    ids = sorted({one for ranking in question.rankings for one in ranking.ranks})
    return {one: n for n, one in enumerate(ids)}


def choices_in(ranks: Floats) -> list[tuple[Floats, Floats]]:
    """Field and chosen of each choice in one ranking `[N]`; infinite is unplaced."""
    found = []
    for rank in np.unique(ranks[np.isfinite(ranks)]):
        tied = ranks == rank
        for k in range(int(tied.sum())):
            field = (np.isfinite(ranks) & (ranks >= rank)).astype(np.float64)
            field[tied] *= 1 - k / tied.sum()
            found.append((field, tied / tied.sum()))
    return found


def _beta(choices: Choices, betas: Floats, judge: int) -> float:
    """The best beta of one judge, given what the others' ranks say of the completions."""
    own = choices.of(choices.judge == judge)
    seen = np.unique(own.question)
    others = choices.of((choices.judge != judge) & np.isin(choices.question, seen))
    told = np.isin(own.question, others.question)
    if not told.any():
        return 1.0
    utilities = utilities_of(others, betas)
    own = own.of(told)
    return scale_of(own, utilities[own.question], float(betas[judge]))


def utilities_of(choices: Choices, betas: Floats, steps: int = 30) -> Floats:
    """Utilities `[Q, N]` under a standard normal prior; 0 for whom nobody placed."""
    count, width = int(choices.question.max()) + 1, choices.field.shape[1]
    beta = betas[choices.judge][:, None]  # [M, 1]
    found = np.zeros((count, width))
    for _ in range(steps):
        share = choices.shares(beta * found[choices.question])
        slope = -found
        np.add.at(slope, choices.question, beta * (choices.chosen - share))
        spread = -np.einsum("mi,mj->mij", share, share)
        spread[:, range(width), range(width)] += share
        curve = np.tile(np.eye(width), (count, 1, 1))
        np.add.at(curve, choices.question, beta[..., None] ** 2 * spread)
        move = np.linalg.solve(curve, slope[..., None])[..., 0]
        found = found + move.clip(-2, 2)
        if np.abs(move).max() < 1e-6:
            break
    return found


def scale_of(choices: Choices, utilities: Floats, start: float, steps: int = 50) -> float:
    """beta of one judge's choices, given utilities `[M, N]` of each choice's completions."""
    beta = start
    for _ in range(steps):
        share = choices.shares(beta * utilities)
        mean = (share * utilities).sum(1)
        slope = ((choices.chosen * utilities).sum(1) - mean).sum() - (beta - 1) / SPREAD**2
        curve = ((share * utilities**2).sum(1) - mean**2).sum() + 1 / SPREAD**2
        last, beta = beta, max(beta + float(np.clip(slope / curve, -0.5, 0.5)), 0.0)
        if abs(beta - last) < 1e-6:
            break
    return beta


def gold_accuracy(
    questions: Sequence[Question], scorer: str = "answer_correct"
) -> dict[str, float]:
    """For each judge the share of pairs of a right and a wrong completion, by a stored score, that
    the judge put in this order; ties count half, and half a pair of each kind is added, so that
    nobody is perfect or hopeless on little. Only judges who ranked such a pair are there."""
    right: dict[str, float] = {}
    pairs: dict[str, int] = {}
    for question in questions:
        marks = {c.id: c.scores.get(scorer) for c in question.completions}
        for ranking in question.rankings:
            good = [rank for one, rank in ranking.ranks.items() if marks.get(one) == 1]
            bad = [rank for one, rank in ranking.ranks.items() if marks.get(one) == 0]
            wins = sum((g < b) + 0.5 * (g == b) for g in good for b in bad)
            right[ranking.judge] = right.get(ranking.judge, 0.0) + wins
            pairs[ranking.judge] = pairs.get(ranking.judge, 0) + len(good) * len(bad)
    return {judge: (right[judge] + 0.5) / (n + 1) for judge, n in pairs.items() if n}
