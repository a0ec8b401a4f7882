"""Routing, rewards, gate and stop rules of an experiment, with every figure worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.experiments.charts import FIGURES, charts
from training.experiments.gate import Gate, enough
from training.experiments.plan import GIVEN, ExperimentPlan, own_fields
from training.experiments.rewards import Group, Judged, composed
from training.experiments.routing import Seen, Shown, anchors, disagreement, novel, route, shares
from training.experiments.routing import variance as spread_of
from training.experiments.stopping import Compared, gain, why_stop, win_rate
from training.models import Iteration

# --- Routing --------------------------------------------------------------------------------------


def group(question: int, *pairs: tuple[float | None, float | None], accepted=()) -> Shown:
    """A group of samples, each (verifier, judge)."""
    seen = [Seen(f"sample {n} of {question}", v, j) for n, (v, j) in enumerate(pairs)]
    return Shown(question, seen, accepted)


def test_disagreement_is_the_mean_distance_of_verifier_and_judge():
    assert disagreement(group(1, (1, 0.25), (0, 0.75)), 0) == (0.75 + 0.75) / 2
    assert disagreement(group(1, (1, 0.25), (None, 0.75), (1, None)), 0) == 0.75
    assert disagreement(group(1, (1, None)), 0) is None


def test_variance_is_of_the_mean_of_what_is_known():
    # Rewards (1 + .5) / 2 = .75 and 0: mean .375, variance .375 squared.
    assert spread_of(group(1, (1, 0.5), (0, None)), 0) == pytest.approx(0.375**2)
    assert spread_of(group(1, (1, None)), 0) is None
    assert spread_of(group(1, (1, None), (1, None)), 0) == 0


def test_novel_is_how_far_the_samples_are_from_the_nearest_accepted_rationale():
    known = Shown(1, [Seen("a b c d"), Seen("x y")], ["a b c d", "q"])
    # The first is there word for word, ROUGE-L 1; the second shares nothing, 0.
    assert novel(known, 0) == 1 - (1 + 0) / 2
    assert novel(Shown(1, [Seen("a")]), 0) is None


def test_each_strategy_takes_its_best_and_none_is_taken_twice():
    groups = [
        group(1, (1, 0.0), (0, 1.0)),  # disagreement 1, variance 0: both rewards .5
        group(2, (1, 1.0), (0, 0.0)),  # disagreement 0, variance .25
        group(3, (1, 1.0), (1, 1.0)),
        group(4, (1, 0.9), (0, 0.1)),  # disagreement .1, variance .2025
    ]
    chosen = route(groups, [3], 4, {"disagreement": 1, "variance": 2}, seed=0)
    assert [(one.question, one.by) for one in chosen] == [
        (3, "anchor"),
        (1, "disagreement"),
        (2, "variance"),
        (4, "variance"),
    ]
    assert chosen[2].value == 0.25


def test_where_a_strategy_has_nothing_to_say_random_takes_its_place():
    groups = [group(n, (1, None), (0, None)) for n in range(6)]
    chosen = route(groups, [], 3, {"disagreement": 1}, seed=4)
    assert {one.by for one in chosen} == {"random"}
    assert len({one.question for one in chosen}) == 3
    assert chosen == route(groups, [], 3, {"disagreement": 1}, seed=4)


def test_anchors_are_the_same_whatever_else_is_there():
    some = anchors(range(100), 5, seed=1)
    assert anchors(reversed(range(100)), 5, seed=1) == some
    assert anchors(range(100), 9, seed=1)[:5] == some
    assert anchors(range(100), 5, seed=2) != some


def test_a_budget_is_shared_by_the_largest_remainder():
    # 7 · (2, 1, 1) / 4 = 3.5, 1.75, 1.75: whole 3, 1, 1; the two left go to the larger rests.
    assert shares(7, {"a": 2, "b": 1, "c": 1}) == {"a": 3, "b": 2, "c": 2}
    assert shares(3, {"a": 0.0}) == {"random": 3}
    assert shares(-1, {"a": 1.0}) == {"a": 0}


@given(st.integers(0, 50), st.dictionaries(st.sampled_from("abcd"), st.floats(0.01, 9), min_size=1))
def test_shares_add_up(count, weights):
    assert sum(shares(count, weights).values()) == count


@given(st.integers(0, 12), st.integers(0, 4))
def test_no_more_groups_are_routed_than_the_budget_and_none_twice(budget, fixed):
    groups = [group(n, (1, 0.5), (0, 0.5)) for n in range(8)]
    weights = {"disagreement": 1.0, "variance": 1.0, "novel": 1.0, "random": 1.0}
    chosen = [one.question for one in route(groups, list(range(fixed)), budget, weights, 0)]
    assert len(chosen) == len(set(chosen)) == min(budget, 8)


# --- Rewards --------------------------------------------------------------------------------------


def values(found) -> list[float | None]:
    return [None if one.value is None else round(one.value, 6) for one in found]


def test_verifier_and_judge_are_weighed():
    samples = [Judged(1, verifier=1, rating=10), Judged(2, verifier=0, rating=5.5)]
    # (1·1 + 3·1) / 4 and (1·0 + 3·0.5) / 4: a rating of 5.5 on 1 to 10 is one half.
    assert values(composed(Group(samples), {"verifier": 1, "judge": 3})) == [1.0, 0.375]


def test_a_source_that_compares_nothing_has_no_part_in_the_group():
    samples = [Judged(1, verifier=1, rating=2), Judged(2, verifier=0)]
    assert values(composed(Group(samples), {"verifier": 1, "judge": 9})) == [1.0, 0.0]
    assert values(composed(Group([Judged(1), Judged(2)]), {"verifier": 1})) == [None, None]


def test_who_is_missing_where_others_are_judged_has_no_reward():
    samples = [Judged(n, verifier=1) for n in (1, 2, 3)]
    found = composed(Group(samples, {"person-1": {1: 1, 2: 2}}), {"verifier": 1, "people": 1})
    # Win rates of a pair: (1 + ½) / 2 and ½ / 2, so (1 + .75) / 2 and (1 + .25) / 2.
    assert values(found) == [0.875, 0.625, None]
    assert found[2].sources == {"verifier": 1}


def test_copies_share_what_people_said_of_one_of_them():
    samples = [Judged(1, "same"), Judged(2, "same"), Judged(3, "other")]
    found = composed(Group(samples, {"person-1": {1: 1, 3: 2}}), {"people": 1})
    assert values(found) == [0.75, 0.75, 0.25]


def test_readings_of_ranks_are_put_between_zero_and_one():
    group = Group([Judged(1), Judged(2), Judged(3)], {"person-1": {1: 1, 2: 2, 3: 3}})
    assert values(composed(group, {"people": 1}, "mean_rank")) == [1.0, 0.5, 0.0]
    best, middle, worst = values(composed(group, {"people": 1}, "plackett_luce"))
    assert 1 > best > middle > worst > 0


def test_who_is_not_trusted_counts_for_less():
    people = {"person-1": {1: 1, 2: 2}, "person-2": {1: 2, 2: 1}}
    group = Group([Judged(1), Judged(2)], people)
    assert values(composed(group, {"people": 1})) == [0.5, 0.5]
    trusted = {"person-1": 1.0, "person-2": 0.0}
    assert values(composed(group, {"people": 1}, "win_rate", trusted)) == [0.75, 0.25]


def test_a_judge_that_ranks_is_heard_where_it_gave_no_ratings():
    group = Group([Judged(1), Judged(2)], judges={"model-7": {1: 2, 2: 1}})
    assert values(composed(group, {"judge": 1})) == [0.25, 0.75]


def test_reviews_say_one_or_zero():
    samples = [Judged(1, accepted=True), Judged(2, accepted=False), Judged(3)]
    assert values(composed(Group(samples), {"reviews": 2})) == [1.0, 0.0, None]


# --- Gate -----------------------------------------------------------------------------------------

NOW = datetime(2030, 5, 17, 18, tzinfo=UTC)


def test_the_gate_is_shut_until_one_of_its_conditions_holds():
    shut = Gate(ranked=3, wanted=4, total=9)
    assert shut.opens(NOW) == ""
    assert Gate(4, 4, 9).opens(NOW) == "Open: 4 of 9 groups ranked."
    later = NOW + timedelta(seconds=1)
    assert Gate(3, 4, 9, opens_at=later).opens(NOW) == ""
    assert Gate(3, 4, 9, opens_at=NOW).opens(NOW) == "The time was up with 3 of 9 groups ranked."
    by_hand = Gate(3, 4, 9, opened_at=NOW, opened_by="rosa")
    assert by_hand.opens(NOW) == "Opened by rosa with 3 of 9 groups ranked."
    assert "No group" in Gate(0, 0, 0).opens(NOW)


def test_enough_is_never_more_than_there_are():
    assert enough(200, 12) == 12
    assert enough(5, 12) == 5
    assert enough(0, 12) == 12


# --- Stop rules -----------------------------------------------------------------------------------


def test_the_win_rate_pairs_by_question():
    mine, theirs = {1: 1.0, 2: 0.5, 3: 0.0, 4: 1.0}, {1: 0.0, 2: 0.5, 3: 1.0, 5: 1.0}
    found = win_rate(mine, theirs)
    # Won, tied, lost; 4 and 5 have no partner.
    assert (found.value, found.n) == (0.5, 3)
    assert found.low <= 0.5 <= found.high
    assert gain(mine, theirs).value == 0.0
    assert win_rate({1: 1.0}, {2: 1.0}) is None


def test_better_everywhere_is_a_win_rate_of_one():
    found = win_rate(dict.fromkeys(range(9), 1.0), dict.fromkeys(range(9), 0.0))
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_worse_than_the_one_before_stops_it():
    worse = Compared(0.4, 0.32, 0.48, 200)
    told = why_stop(2, worse, "worse", None, None, 0)
    assert told == "Checkpoint 2 wins 40 % against checkpoint 1 (32 % to 48 %), so it is worse."
    assert why_stop(2, worse, "never", None, None, 0) == ""
    assert why_stop(2, Compared(0.45, 0.38, 0.52, 200), "worse", None, None, 0) == ""


def test_not_surely_better_stops_it_only_where_that_is_asked():
    unsure = Compared(0.54, 0.49, 0.59, 200)
    assert "not surely better" in why_stop(1, unsure, "not_better", None, None, 0)
    assert why_stop(1, Compared(0.6, 0.52, 0.68, 200), "not_better", None, None, 0) == ""


def test_diversity_that_fell_too_far_stops_it():
    told = why_stop(3, None, "worse", 1.2, 2.0, 40)
    assert told == "Diversity fell by 40 % from the start; the plan bears 40 %."
    assert why_stop(3, None, "worse", 1.3, 2.0, 40) == ""
    assert why_stop(3, None, "worse", 0.1, 2.0, 0) == ""
    assert why_stop(3, None, "worse", None, 2.0, 40) == ""


# --- Plan and charts ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", sorted(GIVEN))
def test_a_plan_resolves_the_settings_of_every_method_and_reads_itself_again(method):
    plan = ExperimentPlan(method=method, max_new_tokens=77, samples=5)
    assert plan.settings["max_completion_tokens"] == 77
    assert ExperimentPlan.model_validate(plan.model_dump(mode="json")) == plan
    assert not own_fields(method).keys() & GIVEN[method].keys()


def test_what_is_drawn_decides_what_cotd_po_compares():
    drawn = {"rationale": "question", "answer_given_thought": "thought"}
    for draw, condition in drawn.items():
        plan = ExperimentPlan(draw=draw, temperature=0.7)
        assert plan.settings["condition"] == condition
        assert plan.settings["temperature"] == 0.7
        assert plan.settings["rewards"] == {"composed": 1.0}


def test_a_chart_holds_its_marks_intervals_and_level():
    said = {"value": 0.5, "low": 0.4, "high": 0.7}
    made = [Iteration(number=n, figures={"against_last": said} if n else {}) for n in range(3)]
    (chart,) = charts(made)
    assert chart.figure.key == "against_last"
    assert [point.number for point in chart.points] == [1, 2]
    assert all(point.high < point.y < point.low for point in chart.points), "up is less in SVG"
    assert chart.level == chart.points[0].y
    assert chart.words == "1: 50 %; 2: 50 %"


def test_every_figure_has_a_name_of_its_own():
    assert len({figure.key for figure in FIGURES}) == len(FIGURES)
