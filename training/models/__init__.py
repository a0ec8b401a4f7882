from training.models.experiment import (
    Experiment,
    ExperimentStatus,
    Iteration,
    IterationRun,
    Stage,
    StageStatus,
)
from training.models.judging import JudgeVerdict
from training.models.launching import Preset, Rehearsal, RehearsalStatus
from training.models.run import (
    LEASE,
    Checkpoint,
    Evaluation,
    EvaluationItem,
    HostClass,
    Metric,
    Run,
    RunAttempt,
    RunKind,
    RunStatus,
    Worker,
)
from training.models.scored import Scored
from training.models.watching import ProbeAnswer, Round
from training.models.webhook import Delivery, Happening, Subscription, Webhook

__all__ = [
    "LEASE",
    "Checkpoint",
    "Delivery",
    "Evaluation",
    "EvaluationItem",
    "Experiment",
    "ExperimentStatus",
    "Happening",
    "HostClass",
    "Iteration",
    "IterationRun",
    "JudgeVerdict",
    "Metric",
    "Preset",
    "ProbeAnswer",
    "Rehearsal",
    "RehearsalStatus",
    "Round",
    "Run",
    "RunAttempt",
    "RunKind",
    "RunStatus",
    "Scored",
    "Stage",
    "StageStatus",
    "Subscription",
    "Webhook",
    "Worker",
]
