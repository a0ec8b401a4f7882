"""95 % intervals: for a share of independent answers, and for a mean over questions."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

Z = 1.959963984540054  # the normal's 97.5 % point
RESAMPLES = 2000

Interval = tuple[float, float]


def wilson(right: int, asked: int) -> Interval:
    """Wilson's score interval for `right` of `asked`; (0, 1) if nothing was asked.

    Unlike the textbook's interval it stays inside [0, 1] and is honest for shares near the ends
    (Wilson, JASA 1927).
    """
    if asked == 0:
        return 0.0, 1.0
    share = right / asked
    middle = (share + Z**2 / (2 * asked)) / (1 + Z**2 / asked)
    half = sqrt(share * (1 - share) / asked + Z**2 / (4 * asked**2)) * Z / (1 + Z**2 / asked)
    return max(0.0, middle - half), min(1.0, middle + half)


def over_questions(means: Sequence[float], seed: int = 0) -> Interval:
    """Percentile bootstrap of the mean of one value a question.

    Several samples of one question are not independent, so questions are what is drawn again;
    `means` holds each question's own mean. The same seed gives the same interval.
    """
    values = np.asarray(means, dtype=float)
    if len(values) == 0:
        return 0.0, 1.0
    drawn = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)
