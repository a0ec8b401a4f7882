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

__all__ = [
    "LEASE",
    "Checkpoint",
    "Evaluation",
    "EvaluationItem",
    "HostClass",
    "Metric",
    "Run",
    "RunKind",
    "RunStatus",
    "Worker",
]
