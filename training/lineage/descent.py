"""Which run made which checkpoint from which model: one project's trainings, read in two queries.

A run begins from `run.student`. Where that model is a checkpoint, the run that wrote it is the one
before, and so on back to a model that no run here wrote: the base.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from django.db.models import F

from curation.models import LanguageModel, Project
from training.models import Checkpoint, Run, RunKind

HEAVY = ("config", "progress", "result", "error", "lease_owner", "folder")


@dataclass
class Descent:
    """The training runs and checkpoints of a project, by their keys."""

    runs: dict[int, Run] = field(default_factory=dict)
    checkpoints: list[Checkpoint] = field(default_factory=list)  # the oldest first
    by_model: dict[int, Checkpoint] = field(default_factory=dict)
    written: dict[int, list[Checkpoint]] = field(default_factory=lambda: defaultdict(list))
    begun: dict[int, list[Run]] = field(default_factory=lambda: defaultdict(list))

    def above(self, checkpoint: Checkpoint) -> list[Checkpoint]:
        """The checkpoint and those it was trained from, back to the first; it comes first."""
        chain, seen = [checkpoint], {checkpoint.pk}
        while (before := self.by_model.get(chain[-1].run.student_id or 0)) is not None:
            if before.pk in seen:
                break
            seen.add(before.pk)
            chain.append(before)
        return chain

    def base(self, checkpoint: Checkpoint) -> LanguageModel | None:
        """The model that the first run began from."""
        return self.above(checkpoint)[-1].run.student

    def below(self, runs: Collection[Run]) -> list[tuple[Run, int]]:
        """Those runs and every run that began from what they wrote, each with its distance: 0 for
        those that were given."""
        found = {run.pk: (self.runs[run.pk], 0) for run in runs}
        edge = list(found.values())
        while edge:
            run, distance = edge.pop(0)
            for written in self.written[run.pk]:
                for later in self.begun[written.model_id]:
                    if later.pk not in found:
                        found[later.pk] = (later, distance + 1)
                        edge.append(found[later.pk])
        return sorted(found.values(), key=lambda pair: pair[0].pk)


def roles_read(run: Run) -> set[str]:
    """Whose rationales a run of a `Descent` learns from, where its method's settings say so."""
    return set(run.roles or ["teacher", "student", "human"])  # type: ignore[attr-defined]


def descent_in(project: Project) -> Descent:
    """Every training run of the project that was not thrown away, with what it wrote."""
    found = Descent()
    runs = Run.objects.filter(project=project, kind=RunKind.TRAIN).order_by("pk")
    runs = runs.select_related("student", "dataset").annotate(roles=F("config__roles"))
    for run in runs.defer(*HEAVY):
        run.project = project
        found.runs[run.pk] = run
        found.begun[run.student_id or 0].append(run)
    checkpoints = Checkpoint.objects.filter(run__project=project).select_related("model")
    for checkpoint in checkpoints.order_by("run", "step"):
        checkpoint.run = found.runs[checkpoint.run_id]
        found.checkpoints.append(checkpoint)
        found.by_model[checkpoint.model_id] = checkpoint
        found.written[checkpoint.run_id].append(checkpoint)
    return found
