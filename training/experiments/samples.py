"""What an iteration drew, whichever run stored it.

A draw is stored once: a run that is retried, or another experiment with the same plan and seed
from the same checkpoint, finds draws there already and stores none of its own. So the samples of
an iteration are those of all runs that drew by the same plan.
"""

from __future__ import annotations

from django.db.models import QuerySet

from curation.models import Question, Rationale
from training.experiments.plan import ExperimentPlan
from training.models import Iteration, Run, Stage
from training.runs import layout


def plan_of(iteration: Iteration) -> ExperimentPlan:
    return ExperimentPlan.model_validate(iteration.experiment.plan)


def sample_run(iteration: Iteration) -> Run:
    """The run that drew last. Raises `IterationRun.DoesNotExist` before anything was drawn."""
    return iteration.stage_runs.select_related("run").filter(stage=Stage.SAMPLE).latest("pk").run


def sample_runs(iteration: Iteration) -> list[Run]:
    """Every run whose draws are this iteration's, the oldest first."""
    run = sample_run(iteration)
    found = Run.objects.filter(**layout.same_draws(run))
    drawn = Rationale.objects.filter(question__in=questions_of(iteration)).order_by()
    wrote = drawn.filter(batch__in=found.values("batch")).values("batch")
    return list(found.filter(batch__in=wrote).order_by("pk"))


def questions_of(iteration: Iteration) -> QuerySet[Question]:
    return layout.questions_of(sample_run(iteration))


def samples_of(iteration: Iteration) -> QuerySet[Rationale]:
    """The samples, in the order of their questions."""
    batches = [run.batch for run in sample_runs(iteration)]
    drawn = Rationale.objects.filter(question__in=questions_of(iteration), batch__in=batches)
    return drawn.order_by("question_id", "pk")
