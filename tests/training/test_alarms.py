"""Alarms by series made by hand: each speaks where it should, and stays silent where it should."""

from __future__ import annotations

import math

import pytest

from training.reports.alarms import RULES, Alarm, alarms, thresholds


def series(*values: float | None) -> list[tuple[int, float | None]]:
    """Steps from 1."""
    return list(enumerate(values, start=1))


def flat(value: float, count: int = 20) -> list[tuple[int, float | None]]:
    return series(*[value] * count)


def only(**curves: list[tuple[int, float | None]]) -> Alarm:
    (found,) = alarms(curves)
    return found


def test_a_run_that_goes_well_raises_nothing():
    curves = {
        "loss": series(*[1 / n for n in range(1, 41)]),
        "truncated_share": flat(0.05, 40),
        "groups": flat(8, 40),
        "groups_skipped": flat(2, 40),
        "kl": series(*[0.001 * n for n in range(40)]),
        "completion_tokens": flat(100, 40),
        "entropy": series(*[1 - 0.01 * n for n in range(40)]),
        "tokens_per_second": flat(1000, 40),
    }
    assert alarms(curves) == []


def test_no_curve_at_all_raises_nothing():
    assert alarms({}) == []
    assert alarms({"truncated_share": flat(1.0, 4)}) == []  # four steps are too few to say


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
def test_a_loss_that_is_no_number(bad):
    found = only(loss=series(1, 0.9, bad, 0.8, bad, 0.7))
    assert (found.name, found.steps) == ("loss_nan", "steps 3 to 5")
    assert "2 steps" in found.words


def test_truncated_above_three_tenths():
    assert alarms({"truncated_share": flat(0.3)}) == []
    found = only(truncated_share=flat(0.31))
    assert found.name == "truncated"
    assert "31%" in found.words
    assert "30%" in found.words


def test_only_the_last_stretch_counts():
    """Ninety steps cut off and ten that are not: it is over. A tenth of a hundred is ten."""
    assert alarms({"truncated_share": series(*[1.0] * 90, *[0.0] * 10)}) == []
    found = only(truncated_share=series(*[0.0] * 90, *[1.0] * 10))
    assert (found.first, found.last) == (91, 100)


def test_equal_rewards_by_the_share_of_groups_that_were_skipped():
    assert alarms({"groups": flat(8), "groups_skipped": flat(4)}) == []  # a half is allowed
    found = only(groups=flat(8), groups_skipped=flat(6))
    assert "75%" in found.words


def test_the_kl_against_its_own_past():
    """The median before is 0.05; five times that is 0.25."""
    assert alarms({"kl": series(*[0.05] * 20, *[0.24] * 5)}) == []
    found = only(kl=series(*[0.05] * 20, *[0.26] * 5))
    assert (found.name, found.first, found.last) == ("kl", 21, 25)
    assert alarms({"kl": series(*[0.001] * 20, *[0.09] * 5)}) == []  # still below the floor


def test_lengths_that_collapse_and_explode():
    beginning = [100] * 20
    assert alarms({"completion_tokens": series(*beginning, *[50] * 5)}) == []
    assert only(completion_tokens=series(*beginning, *[49] * 5)).name == "length_collapse"
    assert alarms({"completion_tokens": series(*beginning, *[200] * 5)}) == []
    found = only(completion_tokens=series(*beginning, *[210] * 5))
    assert found.name == "length_explosion"
    assert "2.10 times the 100" in found.words


def test_variety_by_entropy_or_by_effective_samples():
    assert alarms({"entropy": series(*[1.0] * 20, *[0.5] * 5)}) == []
    assert only(entropy=series(*[1.0] * 20, *[0.49] * 5)).metric == "entropy"
    assert only(effective_samples=series(*[6.0] * 20, *[2.0] * 5)).metric == "effective_samples"


def test_a_pace_that_halves():
    assert alarms({"tokens_per_second": series(*[1000] * 20, *[500] * 5)}) == []
    found = only(tokens_per_second=series(*[1000] * 20, *[499] * 5))
    assert "499" in found.words
    assert "1,000" in found.words


def test_one_odd_step_raises_nothing():
    spiky = series(*[0.05] * 20, 9.0, *[0.05] * 79)
    assert alarms({"kl": spiky}) == []


def test_every_rule_says_what_it_watches():
    assert len(list(thresholds())) == len(RULES)
