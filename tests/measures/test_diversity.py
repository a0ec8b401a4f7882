"""Diversity by hand."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
import pytest

from training.measures.diversity import derivation, distinct_derivations, distinct_n, vendi
from training.measures.similarity import cosines, shuffled_baseline


def test_distinct_n_counts_unique_grams_of_texts_of_one_length():
    assert distinct_n(["a b a b"], 1) == 2 / 4
    assert distinct_n(["a b a b"], 2) == 2 / 3
    assert distinct_n(["a b", "a b c d"], 1) == 2 / 4  # the longer one is cut to two words
    assert distinct_n(["8+3=11"], 1) == 1.0  # 8 + 3 = 11 are five words
    assert distinct_n(["one"], 2) is None


def test_vendi_counts_what_is_effectively_different():
    assert vendi(np.eye(4)) == pytest.approx(4)
    assert vendi(np.ones((5, 1))) == pytest.approx(1)
    two = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert vendi(two) == pytest.approx(exp(-(2 / 3 * log(2 / 3) + 1 / 3 * log(1 / 3))))
    near = np.array([[1.0, 0.0], [sqrt(0.5), sqrt(0.5)]])  # eigenvalues (1 ± cos 45°) / 2
    values = (0.5 + sqrt(0.5) / 2, 0.5 - sqrt(0.5) / 2)
    assert vendi(near) == pytest.approx(exp(-sum(v * log(v) for v in values)))
    with pytest.raises(ValueError, match="no vectors"):
        vendi(np.empty((0, 3)))


def test_a_derivation_is_its_equations():
    assert derivation("3 * 4 = 12\n12 + 5 = 17") == derivation("bags: 4 * 3 = 12, so 5 + 12 = 17")
    assert derivation("7 + 7 = 14") != derivation("2 * 7 = 14")
    assert derivation("3 * 4 = 13") is None
    assert derivation("It is 12.") is None
    assert distinct_derivations(["1 + 2 = 3", "2 + 1 = 3", "3 * 1 = 3", "1 + 2 = 4"]) == 2


def test_similarity_and_what_chance_gives():
    left = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    right = np.array([[2.0, 0.0], [0.0, 1.0], [1.0, -1.0]])
    assert cosines(left, right) == pytest.approx([1.0, 1.0, 0.0])
    others = [0, sqrt(0.5), 0, -sqrt(0.5), sqrt(0.5), sqrt(0.5)]
    assert shuffled_baseline(left, right) == pytest.approx(sum(others) / 6)
    assert shuffled_baseline(left[:1], right[:1]) is None
