"""How close a student's thoughts are to the references in meaning, and what chance would give."""

from __future__ import annotations

import numpy as np


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Cosine `[n]` of each row of `left` `[n, d]` with the same row of `right`."""
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return (left * right).sum(axis=1) / np.maximum(norms, 1e-12)


def shuffled_baseline(left: np.ndarray, right: np.ndarray) -> float | None:
    """The mean cosine with the references of *other* questions: what unrelated texts reach.

    Short mathematical texts are often close whatever they say, so a similarity means something
    only beside this. Every other reference is paired with every row, not a random one. None for
    fewer than two rows.
    """
    if len(left) < 2:
        return None
    unit_left = left / np.maximum(np.linalg.norm(left, axis=1, keepdims=True), 1e-12)
    unit_right = right / np.maximum(np.linalg.norm(right, axis=1, keepdims=True), 1e-12)
    total = unit_left.sum(axis=0) @ unit_right.sum(axis=0)
    own = (unit_left * unit_right).sum()
    return float((total - own) / (len(left) * (len(left) - 1)))
