"""Curves: few points, true ones, and each at its own step."""

from __future__ import annotations

import pytest

from training.models import Metric, Run
from training.reports.curves import (
    MOST_POINTS,
    curves,
    grouped_names,
    last_step_by_name,
    last_values,
    means,
    seconds_by_step,
)

pytestmark = pytest.mark.django_db


def write(run: Run, name: str, values: dict[int, float | None]) -> None:
    Metric.objects.bulk_create(
        Metric(run=run, step=step, name=name, value=value) for step, value in values.items()
    )


def test_names_and_ends_are_read_from_the_index(train_run, django_assert_num_queries):
    write(train_run, "loss", {1: 1.0, 2: 0.5})
    write(train_run, "kl", {1: 0.0})
    with django_assert_num_queries(1):
        assert last_step_by_name(train_run) == {"kl": 1, "loss": 2}


def test_a_run_without_metrics_has_no_curves(train_run):
    assert curves(train_run, [], -1) == {"series": {}, "last": -1}
    assert last_values(train_run) == []


def test_a_short_curve_comes_whole_with_its_gaps(train_run):
    write(train_run, "loss", {1: 1.0, 2: None, 3: 0.5})
    assert curves(train_run, ["loss"], -1)["series"] == {"loss": [[1, 2, 3], [1.0, None, 0.5]]}


def test_only_what_is_asked_for_comes(train_run):
    write(train_run, "loss", {1: 1.0})
    write(train_run, "kl", {1: 0.0, 2: 0.1})
    found = curves(train_run, ["loss", "alchemy"], -1)
    assert set(found["series"]) == {"loss"}
    assert found["last"] == 2
    assert set(curves(train_run, [], -1)["series"]) == {"loss", "kl"}


def test_a_long_curve_keeps_its_spikes_where_they_were(train_run):
    values: dict[int, float | None] = dict.fromkeys(range(1, 5001), 1.0)
    values |= {1234: 99.0, 1235: -7.0, 4999: None}
    write(train_run, "loss", values)
    steps, found = curves(train_run, ["loss"], -1)["series"]["loss"]
    assert len(steps) <= MOST_POINTS
    assert found[steps.index(1234)] == 99.0
    assert found[steps.index(1235)] == -7.0
    assert steps == sorted(set(steps))


def test_the_cursor_goes_on_from_where_it_was(train_run):
    write(train_run, "loss", {step: float(step) for step in range(1, 11)})
    first = curves(train_run, ["loss"], -1)
    assert first["last"] == 10
    assert curves(train_run, ["loss"], 10) == {"series": {}, "last": 10}
    assert curves(train_run, ["loss"], 8)["series"]["loss"][0] == [9, 10]


def test_means_over_stretches_tell_of_what_was_no_number(train_run):
    write(train_run, "loss", {1: 1.0, 2: 3.0, 3: 5.0, 4: None})
    assert means(train_run, ["loss"], most=2) == {"loss": [(1, 2.0), (3, None)]}


def test_the_clock_adds_up_the_seconds_of_the_steps(train_run):
    write(train_run, "seconds", {1: 2.0, 2: 0.5, 3: 0.25})
    assert seconds_by_step(train_run, [1, 3, 9]) == {1: 2.0, 3: 2.75}


def test_metrics_stand_in_their_groups():
    found = grouped_names(["valid_steps_mean", "loss", "reward_mean", "kl", "odd", "memory_bytes"])
    assert found == [
        ("Learning", ["loss"]),
        ("Rewards", ["reward_mean", "valid_steps_mean"]),
        ("Policy", ["kl"]),
        ("Host", ["memory_bytes"]),
        ("Of the method", ["odd"]),
    ]
