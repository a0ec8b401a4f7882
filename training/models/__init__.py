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
from training.models.webhook import Delivery, Happening, Subscription, Webhook

__all__ = [
    "LEASE",
    "Checkpoint",
    "Delivery",
    "Evaluation",
    "EvaluationItem",
    "Happening",
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
    "Subscription",
    "Webhook",
    "Worker",
]
