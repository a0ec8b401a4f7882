"""What people do beside an experiment: to its runs, in a second browser, with absurd numbers."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from tests.training.test_experiments import (  # noqa: F401
    at_the_gate,
    go,
    questions,
    stand,
    start,
)
from training.experiments import deeds
from training.experiments.advance import advance
from training.models import Experiment, Run
from training.runs.launch import request_cancel, resume

pytestmark = pytest.mark.django_db


def test_a_run_that_was_cancelled_and_resumed_is_waited_for_and_not_done_twice(start):  # noqa: F811
    experiment = start(iterations=1)
    advance(experiment.pk)
    run = Run.objects.get()
    request_cancel(run)
    advance(experiment.pk)
    experiment.refresh_from_db()
    assert experiment.status == "paused"
    assert resume(run)
    assert deeds.retry(experiment)
    assert go(experiment).status == "done"
    assert experiment.note == "Its iteration is done."
    first = experiment.iterations.get(number=0)
    assert [row.run_id for row in first.stage_runs.all()] == [run.pk]
    assert first.stage_runs.get().superseded_at is None


def test_a_stopped_experiment_is_not_retried_from_a_second_browser(start):  # noqa: F811
    experiment = start()
    advance(experiment.pk)
    request_cancel(Run.objects.get())
    advance(experiment.pk)
    second = Experiment.objects.get(pk=experiment.pk)
    assert deeds.stop(experiment)
    assert not deeds.retry(second)
    assert stand(experiment) == (0, "evaluate", "failed")
    assert experiment.iterations.get().stage_runs.get().superseded_at is None


def test_the_gate_of_a_stopped_experiment_stays_as_it_was(at_the_gate, researcher):  # noqa: F811
    experiment = at_the_gate()
    assert deeds.stop(experiment)
    assert not deeds.open_gate(experiment, researcher)
    assert not deeds.open_gate_at(experiment, timezone.now())
    assert experiment.iterations.last().opened_at is None


@pytest.mark.parametrize(
    ("plan", "field", "words"),
    [
        ({"questions": 10**30}, "questions", "too large"),
        ({"dev_questions": 10**30}, "dev_questions", "too large"),
        ({"strategies": {"random": 1e308, "novel": 1e308}}, "strategies", "too large"),
        ({"method": "grpo", "settings": {"rewards": {"luck": 1}}}, "settings", "no reward 'luck'"),
        ({"settings": {"max_steps": 10**30}}, "settings", "max_steps: That number is too large"),
    ],
)
def test_what_a_run_would_be_refused_for_is_refused_before_anything_is_drawn(
    start,  # noqa: F811
    plan,
    field,
    words,
):
    with pytest.raises(ValidationError) as refused:
        start(**plan)
    assert words in refused.value.message_dict[field][0]
    assert not Experiment.objects.exists()
