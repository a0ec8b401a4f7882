"""The whole loop without a browser: every step through the deeds that the pages use.

For each seed a project of its own: questions imported, rationales drawn from the teacher and
samples from the student, scored, judged by the simulated annotator through a queue, frozen into a
version; then SFT, CoTD-PO and GRPO, each from the same student with the same seed; each checkpoint
evaluated on the held-out questions; the version exported in every format.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from rich.console import Console

from curation.models import (
    Assignment,
    DatasetVersion,
    Decision,
    Job,
    JobStatus,
    LanguageModel,
    Membership,
    Project,
    Queue,
    Rationale,
    Role,
    User,
)
from curation.queues.contents import Filter, fill
from curation.queues.leases import claim
from curation.review.judging import submit
from training.decoding.prompts import completion_text
from training.demo.annotator import judge
from training.demo.project import GUIDELINES, add_models, add_questions
from training.export import formats
from training.models import Run
from training.runs.inline import Unfinished, see_through
from training.runs.launch import launch
from training.versions.exporting import ask_for_export, perform
from training.versions.freezing import freeze
from training.versions.recipe import Recipe

TRAIN, TEST = 160, 200
LENGTH = 128  # tokens; no derivation needs more
ANNOTATOR = "simulated-annotator"
EVALUATION = {"split": "test", "samples_per_question": 4, "max_new_tokens": LENGTH}
ONLINE = {
    "rounds": 10,
    "questions_per_round": 64,
    "groups_per_step": 32,
    "group_size": 8,
    "epochs": 1,
    "learning_rate": 4e-4,
    "schedule": "constant",
    "warmup": 0.3,
    "max_completion_tokens": LENGTH,
    "checkpoint_every": 20,
}
Methods = dict[str, dict[str, Any]]
METHODS: Methods = {
    "sft": {
        "epochs": 2,
        "groups_per_step": 16,
        "learning_rate": 3e-4,
        "max_completion_tokens": LENGTH,
        "roles": ["teacher", "student"],
    },
    "cotd_po": {**ONLINE, "condition": "question", "nll": 0.3},
    "grpo": ONLINE,
}
FIGURES = (
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "sampled_accuracy",
    "valid_chain_share",
    "length_ratio",
    "similarity",
    "distinct_derivations",
    "vendi",
)

Row = dict[str, Any]


@dataclass
class Loop:
    """One seed's passage through the loop; `rows()` is what came of it."""

    seed: int
    methods: Methods
    console: Console

    def rows(self) -> list[Row]:
        """Go through it. Raises `Unfinished`."""
        self.project = demo_project(self.seed)
        self.annotator = simulated_annotator(self.project)
        add_questions(self.project, TRAIN, TEST)
        self.teacher, self.student = add_models(self.project)
        self.say("drawing from teacher and student")
        see_through(self.drawings(), self.console)
        self.say(f"{self.annotate()} groups judged by {self.annotator}, a program")
        accepted, everything = self.versions()
        self.say(f"{accepted}: {accepted.counts['rationales']} of them; training")
        trained = self.trained(accepted)
        self.say("evaluating on the held-out questions")
        rows = self.evaluated(trained)
        exports = self.export(accepted) + self.export(everything)
        self.say(f"{exports} exports in the project {self.project.slug}")
        return rows

    def say(self, sentence: str) -> None:
        self.console.print(f"[bold]seed {self.seed}[/bold] {sentence}")

    def drawings(self) -> list[Run]:
        """Rationales at three temperatures and samples for the questions to learn from; one
        rationale for each held-out question, as the yardstick of length and similarity."""
        warm, one = [0.3, 0.5, 0.7], {"samples_per_temperature": 1}
        return [
            self.drawing("rationales", self.teacher, "teacher", temperatures=warm, **one),
            self.drawing(
                "samples", self.student, "student", temperatures=[1.0], samples_per_temperature=4
            ),
            self.drawing(
                "yardstick", self.teacher, "teacher", temperatures=[0.0], split="test", **one
            ),
        ]

    def drawing(self, name: str, model: LanguageModel, role: str, **config: Any) -> Run:
        config |= {"role": role, "max_new_tokens": LENGTH}
        return self.launched("generate", f"{model.name}: {name}", student=model, config=config)

    def launched(self, kind: str, name: str, **asked: Any) -> Run:
        return launch(self.project, kind, name=name, seed=self.seed, enqueue=False, **asked)

    def annotate(self) -> int:
        """The simulated annotator works through a queue, item by item, as a person would."""
        queue = Queue.objects.create(
            project=self.project,
            name="Simulated annotation",
            filter=Filter(split="train", min=2, max=8, hints=False).stored(),
            guidelines=GUIDELINES,
        )
        fill(queue)
        for count in itertools.count():
            held = claim(queue, self.annotator)
            if held is None:
                return count
            self.judge(held)
        raise AssertionError

    def judge(self, held: Assignment) -> None:
        shown = [Rationale.objects.get(pk=pk) for pk in held.shown_order]
        question = held.question
        texts = [completion_text(each.thought, each.answer) for each in shown]
        said = judge(question.text, question.reference_answer, texts, self.seed)
        ranks = {each.pk: rank for each, rank in zip(shown, said.ranks, strict=True)}
        decisions = {
            each.pk: Decision.ACCEPT if accepted else Decision.REJECT
            for each, accepted in zip(shown, said.accepted, strict=True)
        }
        submit(held, ranks if len(ranks) > 1 else {}, decisions)

    def versions(self) -> tuple[DatasetVersion, DatasetVersion]:
        """What the students learn from, and everything with its rankings for other trainers."""
        accepted = Recipe(selection="accepted", seed=self.seed)
        ranked = Recipe(min_rationales=2, seed=self.seed)
        return (
            freeze(self.project, accepted, self.annotator, "Accepted rationales"),
            freeze(self.project, ranked, self.annotator, "Everything, with rankings"),
        )

    def trained(self, version: DatasetVersion) -> dict[str, Run]:
        """One run a method, all from the same student and seed."""
        runs = {
            name: self.launched(
                "train", name, method=name, config=config, dataset=version, student=self.student
            )
            for name, config in self.methods.items()
        }
        see_through(list(runs.values()), self.console)
        return runs

    def evaluated(self, trained: dict[str, Run]) -> list[Row]:
        """A row for each model, in the order of the loop."""
        models = {
            "student": self.student,
            **{name: last_checkpoint(run) for name, run in trained.items()},
            "teacher": self.teacher,
        }
        runs = {
            name: self.launched("evaluate", f"{name}: evaluation", student=model, config=EVALUATION)
            for name, model in models.items()
        }
        see_through(list(runs.values()), self.console)
        return [self.row(name, run, trained.get(name)) for name, run in runs.items()]

    def row(self, name: str, evaluation: Run, training: Run | None) -> Row:
        """The figures of one checkpoint; `seconds` are its training's and its evaluation's."""
        summary = evaluation.result["summary"]
        spent = seconds(evaluation) + (seconds(training) if training else 0.0)
        figures = {figure: summary[figure] for figure in FIGURES}
        return {"checkpoint": name, "seed": self.seed, **figures, "seconds": round(spent, 1)}

    def export(self, version: DatasetVersion) -> int:
        """Every format that the version's rows fit, as jobs that can be fetched in the browser."""
        jobs = [ask_for_export(version, name, {}, True, self.annotator) for name in formats()]
        for job in jobs:
            if job.claim():
                perform(job)
        done: QuerySet[Job] = Job.objects.filter(pk__in=[job.pk for job in jobs])
        return done.filter(status=JobStatus.DONE).count()


def demo_project(seed: int) -> Project:
    """A new project: an earlier passage with the same seed stays as it was."""
    for number in itertools.count(1):
        slug = f"headless-demo-seed-{seed}" + (f"-{number}" if number > 1 else "")
        if not Project.objects.filter(slug=slug).exists():
            break
    return Project.objects.create(
        slug=slug,
        name=f"Headless demo, seed {seed}" + (f", run {number}" if number > 1 else ""),
        description="Made by the headless demo. Its annotator is a program, and named so.",
        guidelines=GUIDELINES,
    )


def simulated_annotator(project: Project) -> User:
    """The program's own account; nobody can log in with it. The demo's owner sees its work."""
    user, is_new = User.objects.get_or_create(
        username=ANNOTATOR, defaults={"first_name": "Simulated annotator"}
    )
    if is_new:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    Membership.objects.create(project=project, user=user, role=Role.RESEARCHER)
    owner = User.objects.filter(username="olga").first()
    if owner:
        Membership.objects.create(project=project, user=owner, role=Role.OWNER)
    return user


def last_checkpoint(run: Run) -> LanguageModel:
    checkpoint = run.checkpoints.select_related("model").order_by("-step").first()
    if checkpoint is None:
        raise Unfinished(f"Run {run.pk} left no checkpoint.")
    return checkpoint.model


def seconds(run: Run) -> float:
    assert run.started_at
    assert run.finished_at
    return (run.finished_at - run.started_at).total_seconds()


def passages(seeds: int, methods: Methods, console: Console) -> Row:
    """The JSON of the headless demo: every row of every seed, and how long it took."""
    began = time.monotonic()
    rows = [row for seed in range(seeds) for row in Loop(seed, methods, console).rows()]
    return {"seeds": seeds, "seconds": round(time.monotonic() - began, 1), "rows": rows}


def averages(rows: list[Row]) -> Iterator[tuple[str, dict[str, tuple[float, float]]]]:
    """For each checkpoint, every figure's mean over the seeds and its standard deviation."""
    for name in dict.fromkeys(row["checkpoint"] for row in rows):
        of_it = [row for row in rows if row["checkpoint"] == name]
        yield (
            name,
            {figure: spread([row[figure] for row in of_it]) for figure in (*FIGURES, "seconds")},
        )


def spread(values: list[float | None]) -> tuple[float, float]:
    """Mean and sample standard deviation (0 for one value) of the values there are."""
    known = [value for value in values if value is not None]
    if not known:
        return float("nan"), 0.0
    mean = sum(known) / len(known)
    squares = sum((value - mean) ** 2 for value in known)
    return mean, (squares / max(1, len(known) - 1)) ** 0.5
