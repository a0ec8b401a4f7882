from training.models.launching import Preset, Rehearsal, RehearsalStatus
from training.models.run import (
    LEASE,
    Checkpoint,
    Evaluation,
    EvaluationItem,
    HostClass,
    Metric,
    Run,
    RunKind,
    RunStatus,
    Worker,
)
from training.models.watching import ProbeAnswer, Round

__all__ = [
    "LEASE",
    "Checkpoint",
    "Evaluation",
    "EvaluationItem",
    "HostClass",
    "Metric",
    "Preset",
    "ProbeAnswer",
    "Rehearsal",
    "RehearsalStatus",
    "Round",
    "Run",
    "RunKind",
    "RunStatus",
    "Worker",
]
