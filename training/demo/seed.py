"""The demo project, as it stands when Stillroom is opened for the first time.

Questions, a teacher's rationales, the student's own samples, all scored, and a queue of groups to
rank; the rest of the loop is for its visitors. It is made once: what people did with it, or that
they archived or deleted it, stays.
"""

from __future__ import annotations

from django.db import transaction
from rich.console import Console

from curation.models import Project, Queue, User
from curation.queues.contents import Filter, fill
from training.demo.project import (
    GUIDELINES,
    add_members,
    add_models,
    add_people,
    add_questions,
)
from training.experiments.deeds import DEFAULTS
from training.models import Run, RunStatus
from training.runs.inline import see_through
from training.runs.launch import launch

SLUG = "demo"
TRAIN, TEST, ASKED = 240, 120, 48
# What suits a tiny student on a CPU: the form of an experiment begins with it.
EXPERIMENT = {
    "plan": {
        "questions": ASKED,
        "samples": 4,
        "max_new_tokens": 128,
        "groups": 12,
        "anchors": 3,
        "dev_questions": 60,
        "dev_samples": 2,
    },
    "settings": {
        "cotd_po": {"learning_rate": 2e-4, "groups_per_step": 16, "nll": 0.3},
        "sft": {"learning_rate": 3e-4, "groups_per_step": 16},
        "dpo": {"learning_rate": 1e-4, "groups_per_step": 16},
        "grpo": {"learning_rate": 4e-4, "rounds": 3, "questions_per_round": 48,
                 "groups_per_step": 16},
    },
}  # fmt: skip
# The seed is whole when this stands among the project's options; an interrupted one goes on.
SEEDED = "demo_seeded"


def is_seeded() -> bool:
    """Whether the demo has ever been made here: its people stay even when the project goes."""
    project = Project.objects.filter(slug=SLUG).first()
    if project is None:
        return User.objects.filter(username="olga").exists()
    return bool(project.options.get(SEEDED))


def seed(console: Console) -> None:
    """Make the demo project, or finish it. Raises `Unfinished` if a model could not draw."""
    with transaction.atomic():  # people without their project would count as seeded
        people = add_people()
        project = demo_project(people["olga"])
        add_members(project, people)
    add_questions(project, TRAIN, TEST)
    see_through(drawings(project, people["rosa"]), console)
    add_queue(project, people["rosa"])
    project.options[SEEDED] = True
    project.save(update_fields=["options"])


def demo_project(owner: User) -> Project:
    return Project.objects.get_or_create(
        slug=SLUG,
        defaults={
            "name": "Demo: little number stories",
            "description": "Stories that the project makes up itself, a tiny teacher, and a "
            "student of mixed habits. Everything here runs on this machine.",
            "guidelines": GUIDELINES,
            "options": {DEFAULTS: EXPERIMENT},
            "created_by": owner,
        },
    )[0]


def drawings(project: Project, by: User) -> list[Run]:
    """The runs that draw the first rationales; those of an interrupted seed are taken up again."""
    teacher, student = add_models(project)
    wanted = {
        "Teacher's rationales": (teacher, "teacher", [0.3, 0.5, 0.7], 1, "train"),
        "Student's samples": (student, "student", [1.0], 4, "train"),
        # What evaluations compare lengths and meanings with.
        "Teacher's yardstick": (teacher, "teacher", [0.0], 1, "test"),
    }
    runs = []
    for name, (model, role, temperatures, samples, split) in wanted.items():
        config = {
            "role": role,
            "split": split,
            "limit": ASKED if split == "train" else 0,
            "temperatures": temperatures,
            "samples_per_temperature": samples,
            "max_new_tokens": 128,
        }
        before = Run.objects.filter(project=project, name=name)
        before = before.exclude(status__in=[RunStatus.FAILED, RunStatus.CANCELLED])
        run = before.first() or launch(
            project, "generate", config=config, student=model, by=by, name=name, enqueue=False
        )
        if run.status != RunStatus.DONE:
            runs.append(run)
    return runs


def add_queue(project: Project, by: User) -> None:
    """Every group of the drawn questions, each to be seen by two people."""
    queue, is_new = Queue.objects.get_or_create(
        project=project,
        name="First look",
        defaults={
            "filter": Filter(split="train", min=3, max=5, hints=False).stored(),
            "overlap": 2,
            "guidelines": GUIDELINES,
            "created_by": by,
        },
    )
    if is_new:
        fill(queue)
