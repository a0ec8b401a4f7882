"""Intervals against values worked out elsewhere."""

from __future__ import annotations

import pytest

from training.measures.intervals import over_questions, wilson


def test_wilson_gives_the_published_interval():
    # 81 of 263: Newcombe, Statistics in Medicine 1998, table I.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_bootstrap_draws_questions_and_repeats_itself():
    low, high = over_questions([0.0] * 50 + [1.0] * 50)
    assert (low, high) == pytest.approx((0.4, 0.6), abs=0.02)
    assert over_questions([0.25, 0.5, 1.0], seed=4) == over_questions([0.25, 0.5, 1.0], seed=4)
    assert over_questions([0.5, 0.5]) == (0.5, 0.5)
