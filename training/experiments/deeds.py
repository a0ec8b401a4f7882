"""What a person may do to an experiment. Each deed is one compare-and-swap, and is in the audit."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from pydantic import ValidationError as BadPlan

from curation.models import LanguageModel, Project, Question, Rationale, User
from training.experiments.advance import advance_soon, begin_next
from training.experiments.plan import ExperimentPlan
from training.experiments.steps import close_queue, run_of
from training.models import (
    Experiment,
    ExperimentStatus,
    Iteration,
    IterationRun,
    RunStatus,
    Stage,
    StageStatus,
)
from training.runs.launch import faults, refuse_bad_settings, request_cancel

RUNNING, PAUSED = ExperimentStatus.RUNNING, ExperimentStatus.PAUSED
DONE, STOPPED = ExperimentStatus.DONE, ExperimentStatus.STOPPED
READY, WORKING = StageStatus.READY, StageStatus.WORKING
# Among a project's options: {"plan": what suits it, "settings": {method: what suits it}}.
DEFAULTS = "experiment"


def begin(
    project: Project,
    name: str,
    start: LanguageModel | None,
    plan: dict[str, Any],
    *,
    by_itself: bool = True,
    by: User | None = None,
) -> Experiment:
    """Store an experiment and let it go. Raises Django's `ValidationError` by field."""
    start = trainable(project, name, start)
    resolved = checked(project, plan)
    try:
        with transaction.atomic():
            experiment = Experiment.objects.create(
                project=project,
                name=name.strip(),
                start=start,
                plan=resolved.model_dump(mode="json"),
                by_itself=by_itself,
                created_by=by,
            )
    except IntegrityError as error:
        words = "The project has an experiment of this name; choose another."
        raise ValidationError({"name": words}) from error
    advance_soon(experiment)
    return experiment


def trainable(project: Project, name: str, start: LanguageModel | None) -> LanguageModel:
    """The start, if it and the name will do. Raises `ValidationError` by field."""
    if not name.strip() or len(name.strip()) > 80:
        raise ValidationError({"name": "A name has 1 to 80 characters."})
    if start is None:
        raise ValidationError({"start": "Choose the model to start from."})
    if start.project_id != project.pk:
        raise ValidationError({"start": "That model belongs to another project."})
    if not start.can_train:
        raise ValidationError({"start": f"{start} cannot be trained; choose a local model."})
    return start


def checked(project: Project, plan: dict[str, Any]) -> ExperimentPlan:
    """The plan resolved. Raises Django's `ValidationError` by field."""
    try:
        found = ExperimentPlan(**plan)
    except BadPlan as error:
        raise ValidationError(faults_of(error)) from error
    refuse_bad_numbers(found)
    if found.judge:
        judges = LanguageModel.objects.filter(project=project, pk=found.judge)
        if not judges.exclude(provider="imported").exists():
            raise ValidationError({"judge": "That is no model of this project that could judge."})
    if not Question.objects.filter(project=project, split="train").exists():
        raise ValidationError({"questions": "The project has no training questions; import some."})
    return found


def refuse_bad_numbers(plan: ExperimentPlan) -> None:
    """What a run would be refused for, said before anything is drawn and anybody ranks."""
    refuse_bad_settings(plan.model_dump(mode="json", exclude={"settings"}))
    try:
        refuse_bad_settings(plan.settings)
    except ValidationError as error:
        [(name, words)] = error.message_dict.items()
        raise ValidationError({"settings": f"{name}: {words[0]}"}) from error


def faults_of(error: BadPlan) -> dict[str, list[str]]:
    """By field; what a validator of the whole plan says begins with the field's name."""
    found: dict[str, list[str]] = {}
    for field, sentences in faults(error).items():
        for words in sentences:
            said = words.removeprefix("Value error, ")
            name, mark, rest = said.partition(": ")
            known = field == "config" and mark and name in ExperimentPlan.model_fields
            plain = rest if name == "settings" else rest[:1].upper() + rest[1:]
            text = plain if known else said
            found.setdefault(name if known else field, []).append(text)
    return found


def worries(project: Project, plan: ExperimentPlan) -> list[str]:
    """What may be meant so, and is worth a sentence."""
    found = []
    splits = set(project.questions.values_list("split", flat=True).distinct())
    if plan.dev_split not in splits:
        found.append(f"The project has no {plan.dev_split} questions to evaluate on.")
    elif plan.dev_split == "test":
        found.append("Stop rules look at the test questions; keep others aside to report on.")
    elif plan.dev_split == "train":
        found.append("It is evaluated on the questions it learns from, which flatters it.")
    if plan.method == "grpo" and plan.people_in:
        found.append("GRPO draws its own completions: what people rank is kept, not learned from.")
    if plan.judge and plan.method == "cotd_po" and not plan.settings.get("beta"):
        found.append("A judge gives rewards and beta is 0: nothing holds the student near.")
    if plan.weights.get("people") and plan.people_in and plan.gate_groups > plan.groups:
        found.append("The gate waits for more groups than people are given; all of them will do.")
    if plan.is_conditioned and not thoughts_in(project).exists():
        found.append("There is no teacher's thought yet that an answer could be drawn after.")
    return found


def thoughts_in(project: Project) -> Any:
    return Rationale.objects.filter(question__project=project, role="teacher").exclude(thought="")


def usual_plan(project: Project, method: str = "") -> dict[str, Any]:
    """What a new plan begins with: what the project's options say, else the defaults.

    Where the project keeps no validation questions aside, the test questions are evaluated.
    """
    suits = project.options.get(DEFAULTS, {})
    splits = set(project.questions.values_list("split", flat=True).distinct())
    dev = {} if "validation" in splits or "test" not in splits else {"dev_split": "test"}
    plan = {**dev, **suits.get("plan", {})}
    chosen = method or plan.get("method") or ExperimentPlan.model_fields["method"].default
    settings = suits.get("settings", {}).get(chosen, {})
    return {**plan, "method": chosen, "settings": settings}


# --- While it goes --------------------------------------------------------------------------------


def last(experiment: Experiment) -> Iteration | None:
    return experiment.iterations.select_related("queue").last()


def pause(experiment: Experiment, by: User | None = None) -> bool:
    """Begin nothing more; a run that is under way goes on."""
    return experiment.swap(PAUSED, frm=(RUNNING,), note=f"Paused by {by or 'somebody'}.")


@transaction.atomic
def go_on(experiment: Experiment) -> bool:
    """Take up again what is paused, begin the stage that waits, or go past a stop rule."""
    iteration = last(experiment)
    moved = False
    if experiment.status == DONE and iteration is not None and has_more(experiment, iteration):
        moved = experiment.swap(RUNNING, frm=(DONE,), note="", finished_at=None)
        iteration.experiment = experiment
        return moved and begin_next(iteration) and told(experiment)
    if experiment.status == PAUSED and not has_failed(iteration):
        moved = experiment.swap(RUNNING, frm=(PAUSED,), note="")
    if experiment.status == RUNNING and iteration is not None:
        moved = release(iteration) or moved
    return moved and told(experiment)


def has_more(experiment: Experiment, iteration: Iteration) -> bool:
    """Whether the plan has iterations that a stop rule kept from happening."""
    return iteration.number < int(experiment.plan["iterations"])


def has_failed(iteration: Iteration | None) -> bool:
    return iteration is not None and iteration.status == StageStatus.FAILED


def release(iteration: Iteration) -> bool:
    """A stage that was held may begin."""
    held = iteration.status == StageStatus.HELD
    return held and iteration.swap(iteration.stage, READY)


def told(experiment: Experiment) -> bool:
    advance_soon(experiment)
    return True


@transaction.atomic
def retry(experiment: Experiment) -> bool:
    """Begin the failed stage once more, with a new run if it has one; a run that somebody has
    resumed meanwhile is waited for, and one that is done by now counts."""
    iteration = last(experiment)
    if iteration is None or not has_failed(iteration):
        return False
    run = run_of(iteration, iteration.stage)
    resumed = run is not None and run.status not in (RunStatus.FAILED, RunStatus.CANCELLED)
    if not experiment.swap(RUNNING, frm=(PAUSED, RUNNING), note=""):
        return False
    if not iteration.swap(iteration.stage, WORKING if resumed else READY, error=""):
        return False
    if run is not None and not resumed:
        IterationRun.objects.filter(run=run).update(superseded_at=timezone.now())
    return told(experiment)


def open_gate(experiment: Experiment, by: User) -> bool:
    """Go on with what is ranked by now."""
    now = timezone.now()
    opened = at_the_gate(experiment).filter(opened_at=None).update(opened_at=now, opened_by=by)
    return opened == 1 and told(experiment)


def open_gate_at(experiment: Experiment, moment: Any) -> bool:
    """Let the gate open then at the latest; None takes the limit away."""
    return at_the_gate(experiment).update(opens_at=moment) == 1 and told(experiment)


def at_the_gate(experiment: Experiment) -> Any:
    going = (WORKING, READY, StageStatus.HELD)
    found = experiment.iterations.filter(stage=Stage.GATE, status__in=going)
    return found.exclude(experiment__status__in=(DONE, STOPPED))


@transaction.atomic
def stop(experiment: Experiment, by: User | None = None) -> bool:
    """End it for good: its run is cancelled, its queue closed, what it made stays."""
    words, now = f"Stopped by {by or 'somebody'}.", timezone.now()
    if not experiment.swap(STOPPED, frm=(RUNNING, PAUSED), note=words, finished_at=now):
        return False
    iteration = last(experiment)
    if iteration is not None:
        run = run_of(iteration, iteration.stage)
        if run is not None:
            request_cancel(run)
        close_queue(iteration)
    return True


@transaction.atomic
def let_go(experiment: Experiment, by_itself: bool) -> bool:
    """By itself or by hand, from now on. By itself, what is held begins."""
    going = Experiment.objects.filter(pk=experiment.pk, status__in=(RUNNING, PAUSED))
    found = going.filter(by_itself=not by_itself)
    if found.update(by_itself=by_itself) != 1:
        return False
    experiment.by_itself = by_itself
    iteration = last(experiment)
    if by_itself and iteration is not None:
        release(iteration)
    return told(experiment)
