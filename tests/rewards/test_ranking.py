"""Ranks become rewards: by hand for two and three, by their laws for the rest."""

from __future__ import annotations

from itertools import permutations
from math import exp, isnan

import numpy as np
import pytest

from training.decoding.record import Completion, JudgeRanking, Question
from training.rewards.compose import combined
from training.rewards.from_dataset import best_first, stored_rewards
from training.rewards.from_ranking import from_ranking, log_posterior, plackett_luce, tied_stages


def rewards(ids, rankings, reading, **more):
    return from_ranking(ids, rankings, reading, **more)[0]


def test_mean_rank_stands_between_last_and_first():
    ranks = [{"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 1, "c": 3}]
    assert rewards("abc", ranks, "mean_rank") == pytest.approx([0.875, 0.625, 0.0])


def test_win_rates_count_pairs_and_ties_half():
    # a beats b and ties c: (1 + .5 + .5) / 3 → 2w − 1 = 1/3; b loses twice; c ties and wins.
    assert rewards("abc", [{"a": 1, "b": 3, "c": 1}], "win_rate") == pytest.approx(
        [1 / 3, -2 / 3, 1 / 3]
    )


def test_plackett_luce_of_one_pair_solves_its_equation():
    (high, low), _ = from_ranking("ab", [{"a": 1, "b": 2}])
    assert high == -low
    # slope zero: 1 − e^a/(e^a + e^b) = 0.1 a
    assert 1 - exp(high) / (exp(high) + exp(low)) == pytest.approx(0.1 * high, abs=1e-6)


def test_plackett_luce_keeps_ties_order_and_weights():
    tied = rewards("abc", [{"a": 1, "b": 1, "c": 3}], "plackett_luce")
    assert tied[0] == tied[1] > tied[2]
    whole = rewards("abcd", [dict(zip("abcd", (1, 2, 3, 4), strict=True))] * 3, "plackett_luce")
    assert whole == sorted(whole, reverse=True)
    assert sum(whole) == pytest.approx(0, abs=1e-7)
    split = [{"a": 1, "b": 2}, {"a": 2, "b": 1}]
    heavy = rewards("ab", split, "plackett_luce", weights=[3.0, 1.0])
    assert heavy[0] > heavy[1]
    assert rewards("ab", split, "plackett_luce") == [0.0, 0.0]


def test_the_order_of_names_and_of_judges_does_not_matter():
    ranks = [{"a": 1, "b": 2, "c": 2}, {"c": 1, "a": 2}]
    wanted = plackett_luce(list("abc"), [(one, 1.0) for one in ranks])
    for ids in permutations("abc"):
        found = plackett_luce(list(ids), [(one, 1.0) for one in reversed(ranks)])
        assert found == pytest.approx(wanted, abs=1e-7)


def test_slope_and_curve_are_those_of_the_value():
    stages = tied_stages(
        {"a": 1, "b": 1, "c": 2, "d": 3}, 1.5, {i: n for n, i in enumerate("abcd")}
    )
    at = np.array([0.3, -0.2, 0.5, 0.1])
    _, slope, curve = log_posterior(at, stages, 0.1)
    for n in range(4):
        step = np.zeros(4)
        step[n] = 1e-6
        above, below = (log_posterior(at + sign * step, stages, 0.1) for sign in (1, -1))
        assert (above[0] - below[0]) / 2e-6 == pytest.approx(slope[n], abs=1e-6)
        assert (above[1] - below[1]) / 2e-6 == pytest.approx(curve[n], abs=1e-5)


def test_who_was_not_placed_is_unknown_not_last():
    values, present = from_ranking("abc", [{"a": 1, "b": 2}, {"c": 1}], "mean_rank")
    assert present == [True, True, False]
    assert isnan(values[2])


def question(**fields) -> Question:
    completions = [
        Completion(id="a", thought="8 + 3 = 11", answer="11", scores={"answer_correct": 0.0}),
        Completion(id="b", thought="8 - 3 = 5", answer="5", scores={"answer_correct": 1.0}),
    ]
    return Question(id="1", question="?", reference_answer="11", completions=completions, **fields)


def test_rankings_come_before_scores_and_scores_before_functions():
    weights = {"answer_correct": 1.0}
    asked = question(rankings=[JudgeRanking(judge="person-1", ranks={"a": 1, "b": 2})])
    ranked, _ = stored_rewards(asked, asked.completions, weights)
    assert ranked[0] > 0 > ranked[1]
    assert stored_rewards(question(), question().completions, weights)[0] == [0.0, 1.0]
    recomputed = stored_rewards(asked, asked.completions, weights, "rewards")[0]
    assert recomputed == [1.0, 0.0]


def test_the_best_ranked_comes_first_and_the_unranked_behind():
    asked = question(rankings=[JudgeRanking(judge="p", ranks={"b": 1, "c": 2})])
    extra = Completion(id="c", answer="1")
    assert [c.id for c in best_first(asked, [*asked.completions, extra])] == ["b", "c", "a"]


def test_a_missing_reward_takes_its_completion_out():
    values = [
        {"x": 1.0, "y": 0.5},
        {"x": 1.0, "y": None},
        {"x": float("nan"), "y": 1.0},
        {"y": 1.0},
    ]
    found, present = combined(values, {"x": 1.0, "y": 2.0})
    assert found[0] == 2.0
    assert present == [True, False, False, False]
    assert all(isnan(value) for value in found[1:])
