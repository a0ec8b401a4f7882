"""Launching a run: check everything a person asked for, store it resolved, tell a worker.

What cannot be right is refused here, before anything waits in a queue. The stored row is the
truth: if the broker is away, the reaper tells a worker later.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from pydantic import BaseModel
from pydantic import ValidationError as BadConfig

from curation.messages import send
from curation.models import DatasetVersion, LanguageModel, Project, Question, User
from training.models import HostClass, Run, RunKind, RunStatus
from training.rewards import reward_functions
from training.runs.judge_runs import settled_style
from training.runs.plans import config_class

SUPERVISE = "training.tasks.supervise"
LONGEST_NAME = 120
MORE_ATTEMPTS = 5  # of a run that is resumed
LARGEST_NUMBER = 2**53
LARGEST_SEED = 2**32 - 1  # the least of what the random generators take


def launch(
    project: Project,
    kind: str,
    *,
    method: str = "",
    config: dict[str, Any] | None = None,
    dataset: DatasetVersion | None = None,
    student: LanguageModel | None = None,
    seed: int = 0,
    host_class: str = "",
    by: User | None = None,
    parent: Run | None = None,
    name: str = "",
    enqueue: bool = True,
) -> Run:
    """Store a run and, after commit, tell a worker.

    Raises Django's `ValidationError` by field: the names of the config, or `kind`, `method`,
    `dataset`, `student`, `seed`, `host_class`. With `enqueue=False` the caller supervises it.
    """
    settings = checked_settings(
        project, kind, method, config or {}, dataset, student, seed, host_class, name
    )
    run = Run.objects.create(
        project=project,
        kind=kind,
        method=method if kind == RunKind.TRAIN else "",
        config=settings,
        dataset=dataset,
        student=student,
        seed=seed,
        host_class=host_class or usual_host(kind, student),
        launched_by=by,
        parent=parent,
        name=name,
    )
    if enqueue:
        tell_a_worker(run)
    return run


def checked_settings(
    project: Project,
    kind: str,
    method: str,
    config: dict[str, Any],
    dataset: DatasetVersion | None,
    student: LanguageModel | None,
    seed: int,
    host_class: str,
    name: str,
) -> dict[str, Any]:
    """The resolved config of what is asked for, if all of it makes sense. Raises
    `ValidationError` by field."""
    refuse_bad_frame(project, kind, method, dataset, student, seed, host_class)
    if len(name) > LONGEST_NAME:
        raise ValidationError({"name": f"The name has at most {LONGEST_NAME} characters."})
    settings: dict[str, Any] = resolve(kind, method, config).model_dump(mode="json")
    if kind == RunKind.JUDGE:
        settings["style"] = settled_style(settings, student)
    refuse_bad_settings(settings)
    return settings


def resolve(kind: str, method: str, config: dict[str, Any]) -> BaseModel:
    """The config with every default filled in. Raises `ValidationError` by field."""
    try:
        return config_class(kind, method)(**config)
    except KeyError as error:
        raise ValidationError({"method": str(error.args[0])}) from error
    except BadConfig as error:
        raise ValidationError(faults(error)) from error


def refuse_bad_settings(settings: dict[str, Any]) -> None:
    """What passes each field's own rules and still makes no sense. Raises `ValidationError`."""
    for name, value in settings.items():
        if any(not isfinite(n) or abs(n) > LARGEST_NUMBER for n in numbers_in(value)):
            raise ValidationError({name: "That number is too large to mean anything."})
    unknown = sorted(settings.get("rewards", {}).keys() - reward_functions().keys())
    if unknown:
        known = ", ".join(sorted(reward_functions()))
        raise ValidationError({"rewards": f"There is no reward {unknown[0]!r}; there are {known}."})


def numbers_in(value: Any) -> list[float]:
    """The numbers that a setting is, or holds."""
    values = value.values() if isinstance(value, dict) else value
    listed = values if isinstance(value, dict | list) else [value]
    return [number for number in listed if isinstance(number, int | float)]


def faults(error: BadConfig) -> dict[str, list[str]]:
    """Each field's faults in words."""
    found: dict[str, list[str]] = {}
    for fault in error.errors():
        field = str(fault["loc"][0]) if fault["loc"] else "config"
        unknown = fault["type"] == "extra_forbidden"
        words = "There is no such setting here." if unknown else f"{fault['msg']}."
        found.setdefault(field, []).append(words)
    return found


def refuse_bad_frame(
    project: Project,
    kind: str,
    method: str,
    dataset: DatasetVersion | None,
    student: LanguageModel | None,
    seed: int,
    host_class: str,
) -> None:
    """What stands around the config. Raises `ValidationError` by field."""
    if kind not in RunKind.values:
        known = ", ".join(RunKind.values)
        raise ValidationError({"kind": f"There is no kind {kind!r}; there are {known}."})
    if host_class and host_class not in HostClass.values:
        raise ValidationError({"host_class": "The host is cpu or gpu."})
    if not 0 <= seed <= LARGEST_SEED:
        raise ValidationError({"seed": f"The seed is a whole number from 0 to {LARGEST_SEED:,}."})
    refuse_bad_method(kind, method)
    refuse_bad_dataset(project, kind, dataset)
    refuse_bad_student(project, kind, student)


def refuse_bad_method(kind: str, method: str) -> None:
    if kind == RunKind.TRAIN and not method:
        raise ValidationError({"method": "Choose the method to train with."})
    if kind != RunKind.TRAIN and method:
        raise ValidationError({"method": f"A {kind} run has no method."})


def refuse_bad_dataset(project: Project, kind: str, dataset: DatasetVersion | None) -> None:
    if kind == RunKind.TRAIN and dataset is None:
        raise ValidationError({"dataset": "Choose the dataset version to train on."})
    if kind in (RunKind.SCORE, RunKind.JUDGE) and dataset is not None:
        raise ValidationError({"dataset": f"A {kind} run takes the project's rationales."})
    if dataset is not None and dataset.project_id != project.pk:
        raise ValidationError({"dataset": "That dataset version belongs to another project."})
    if dataset is None and not Question.objects.filter(project=project).exists():
        raise ValidationError({"dataset": "The project has no questions yet; import some first."})


def refuse_bad_student(project: Project, kind: str, student: LanguageModel | None) -> None:
    if kind == RunKind.SCORE and student is None:
        return  # answers, steps and lengths need no model
    if student is None:
        raise ValidationError({"student": "Choose the model."})
    if student.project_id != project.pk:
        raise ValidationError({"student": "That model belongs to another project."})
    if not student.can_generate:
        raise ValidationError({"student": f"{student} is imported text; there is nothing to run."})
    if kind not in (RunKind.GENERATE, RunKind.JUDGE) and not student.can_train:
        verbs = {RunKind.TRAIN: "be trained", RunKind.SCORE: "score"}
        verb = verbs.get(RunKind(kind), "be evaluated")
        raise ValidationError(
            {"student": f"{student} is an endpoint; only a local model can {verb}."}
        )


def usual_host(kind: str, student: LanguageModel | None) -> str:
    """Checking answers, and waiting for an endpoint, need no GPU."""
    light = student is None or not student.can_train
    return HostClass.CPU if light else HostClass.GPU


def tell_a_worker(run: Run) -> None:
    """Send the run's id to its queue once the row is committed; the reaper tells it again."""
    transaction.on_commit(lambda: send(SUPERVISE, run.pk, run.host_class))


def request_cancel(run: Run) -> bool:
    """Ask a run to end: at once if it waits, through its supervisor if it runs."""
    from django.utils import timezone

    now = timezone.now()
    waiting = Run.objects.filter(pk=run.pk, status=RunStatus.QUEUED).update(
        status=RunStatus.CANCELLED, cancel_requested_at=now, finished_at=now
    )
    running = Run.objects.filter(pk=run.pk, status=RunStatus.RUNNING, cancel_requested_at=None)
    return waiting == 1 or running.update(cancel_requested_at=now) == 1


def resume(run: Run) -> bool:
    """A run that failed or was cancelled goes on in the same row, from its last checkpoint if it
    has one. False if it is neither."""
    back = Run.objects.filter(pk=run.pk, status__in=[RunStatus.FAILED, RunStatus.CANCELLED]).update(
        status=RunStatus.QUEUED,
        error="",
        cancel_requested_at=None,
        finished_at=None,
        lease_until=None,
        max_attempts=F("attempt") + MORE_ATTEMPTS,
    )
    if back:
        tell_a_worker(run)
    return back == 1
