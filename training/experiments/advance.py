"""Moving an experiment on: one small deed a call, by anybody, at any time.

`advance` may be called by the clock, by a run that ended, by a person's click, after a restart, and
by two of them at once. It takes the experiment's row for the length of one transaction (whoever
finds it taken goes away), reads where the last iteration stands, does the next deed whole or not at
all, and swaps (stage, status) from what it read to what comes next. Nothing is remembered outside
the database, so there is nothing to restore.

In an archived project what is under way comes to its end and nothing new begins: the next deed
waits, and is done by the first call after somebody has taken the project back.
"""

from __future__ import annotations

import structlog
from django.core.exceptions import ValidationError
from django.db import OperationalError, transaction
from django.utils import timezone

from curation.messages import send
from training.experiments.samples import plan_of
from training.experiments.steps import DEEDS, CannotGoOn, stages_of
from training.experiments.stopping import Compared, why_stop
from training.models import (
    Experiment,
    ExperimentStatus,
    Iteration,
    IterationRun,
    Stage,
    StageStatus,
)
from training.models.run import OVER

ADVANCE = "training.tasks.advance_experiment"
MOST_DEEDS = 12  # of one message; the clock brings the next

log = structlog.get_logger()


def advance(pk: int) -> bool:
    """Do the next deed of the experiment if there is one to do. True if something moved."""
    with transaction.atomic():
        experiment = taken(pk)
        if experiment is None or experiment.status != ExperimentStatus.RUNNING:
            return False
        iteration = last_of(experiment)
        return move(iteration)


def taken(pk: int) -> Experiment | None:
    """The experiment with its row locked; None while somebody else moves it."""
    found = Experiment.objects.select_for_update(skip_locked=True, no_key=True, of=("self",))
    return found.select_related("project", "start", "created_by").filter(pk=pk).first()


def last_of(experiment: Experiment) -> Iteration:
    """The iteration that it is in; the first is made here."""
    iteration = experiment.iterations.select_related("queue", "dataset", "checkpoint").last()
    if iteration is None:
        iteration = Iteration.objects.create(
            experiment=experiment, number=0, stage=Stage.EVALUATE, checkpoint=experiment.start
        )
    iteration.experiment = experiment
    return iteration


def move(iteration: Iteration) -> bool:
    """Begin, look or decide, as the iteration stands."""
    if iteration.status in (StageStatus.HELD, StageStatus.FAILED, StageStatus.DONE):
        return False
    if iteration.stage == Stage.DECIDE:
        return decide(iteration)
    deed = DEEDS[Stage(iteration.stage)]
    is_new = iteration.status == StageStatus.READY
    if is_new and iteration.experiment.project.archived_at:
        return False
    try:
        with transaction.atomic():
            told = (deed.begin if is_new else deed.look)(iteration)
    except OperationalError:
        raise  # the database is away or busy: the next call finds everything as it was
    except (CannotGoOn, ValidationError, ValueError, OSError) as error:
        return fail(iteration, words_of(error))
    if told:
        return go_to_next(iteration, told)
    return is_new and iteration.swap(iteration.stage, StageStatus.WORKING)


def go_to_next(iteration: Iteration, told: str) -> bool:
    """The stage has ended: the next one is ready, or is held for a person."""
    stages = stages_of(plan_of(iteration), iteration.number)
    following = stages[stages.index(Stage(iteration.stage)) + 1]
    sentences = {**iteration.told, iteration.stage: told}
    return iteration.swap(following, waits(iteration.experiment, following), told=sentences)


def waits(experiment: Experiment, stage: str) -> str:
    """By hand, every stage waits but the decision, which follows from the evaluation."""
    free = experiment.by_itself or stage == Stage.DECIDE
    return StageStatus.READY if free else StageStatus.HELD


def decide(iteration: Iteration) -> bool:
    """Stop, end, or begin the next iteration."""
    experiment, plan = iteration.experiment, plan_of(iteration)
    stop = reason_to_stop(iteration)
    left = iteration.number < plan.iterations
    if left and not stop and experiment.project.archived_at:
        return False
    if iteration.number and stop:
        told = f"{stop} Stopped here." if left else stop
    else:
        told = f"Goes on to iteration {iteration.number + 1}." if left else "That was the last."
    sentences = {**iteration.told, Stage.DECIDE: told}
    now = timezone.now()
    if not iteration.swap(Stage.DECIDE, StageStatus.DONE, told=sentences, finished_at=now):
        return False
    if left and not stop:
        return begin_next(iteration)
    whole = f"All {plan.iterations} iterations are" if plan.iterations > 1 else "Its iteration is"
    words = stop if left else f"{whole} done. {stop}".strip()
    frm = (ExperimentStatus.RUNNING,)
    return experiment.swap(ExperimentStatus.DONE, frm=frm, note=words, finished_at=now)


def reason_to_stop(iteration: Iteration) -> str:
    """The sentence of the first stop rule that applies, or ""."""
    if not iteration.number:
        return ""
    plan, figures = plan_of(iteration), iteration.figures
    last = figures.get("against_last")
    start = iteration.experiment.iterations.get(number=0).figures
    return why_stop(
        iteration.number,
        Compared(**last) if last else None,
        plan.stop_when,
        figures.get("evaluation", {}).get(plan.diversity),
        start.get("evaluation", {}).get(plan.diversity),
        plan.diversity_drop,
    )


def begin_next(iteration: Iteration) -> bool:
    """The constraint on (experiment, number) lets in one, whoever calls."""
    Iteration.objects.create(
        experiment=iteration.experiment,
        number=iteration.number + 1,
        stage=Stage.SAMPLE,
        status=waits(iteration.experiment, Stage.SAMPLE),
    )
    return True


def fail(iteration: Iteration, words: str) -> bool:
    """The stage failed: the experiment pauses and says why."""
    stage = Stage(iteration.stage).label.lower()
    note = f"Iteration {iteration.number} could not {stage}. {words}"
    if not iteration.swap(iteration.stage, StageStatus.FAILED, error=words[:2000]):
        return False
    log.warning("stage_failed", experiment=iteration.experiment_id, words=words)
    frm = (ExperimentStatus.RUNNING,)
    return iteration.experiment.swap(ExperimentStatus.PAUSED, frm=frm, note=note[:2000])


def words_of(error: Exception) -> str:
    """What went wrong, in one sentence."""
    if isinstance(error, ValidationError):
        return " ".join(error.messages)
    return str(error) or type(error).__name__


# --- Who calls ------------------------------------------------------------------------------------


def advance_far(pk: int) -> int:
    """As many deeds as can be done now; how many."""
    done = 0
    while done < MOST_DEEDS and advance_safely(pk):
        done += 1
    return done


def advance_safely(pk: int) -> bool:
    """As `advance`; what nobody foresaw fails the stage in words, and is told in the log."""
    try:
        return advance(pk)
    except OperationalError:
        raise
    except Exception as error:
        log.exception("experiment_broke", experiment=pk)
        with transaction.atomic():
            experiment = taken(pk)
            if experiment is not None:
                fail(last_of(experiment), f"{type(error).__name__}: {error}")
        return False


def advance_all() -> int:
    """The clock's call, every few seconds: each running experiment."""
    running = Experiment.objects.filter(status=ExperimentStatus.RUNNING)
    return sum(advance_far(pk) for pk in running.order_by("pk").values_list("pk", flat=True))


def advance_soon(experiment: Experiment) -> None:
    """Tell a worker once all is committed; if none can be told, the clock comes by."""
    transaction.on_commit(lambda: send(ADVANCE, experiment.pk, queue="cpu"))


def run_left(run_pk: int) -> None:
    """A supervisor is done with a run: if it is an experiment's, the next deed may follow."""
    found = IterationRun.objects.filter(run=run_pk, run__status__in=OVER)
    for experiment in Experiment.objects.filter(iterations__stage_runs__in=found):
        advance_soon(experiment)
