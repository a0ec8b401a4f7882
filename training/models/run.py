"""A run: one engine job as the database sees it, and what it left behind."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pghistory
from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now
from django.urls import reverse

LEASE = timedelta(seconds=30)
SILENT_AFTER = timedelta(seconds=60)  # a worker whose heartbeat is older is not alive
CLOCK_TOLERANCE = 5.0  # seconds


class RunKind(models.TextChoices):
    GENERATE = "generate", "Generate"
    SCORE = "score", "Score"
    JUDGE = "judge", "Judge"
    TRAIN = "train", "Train"
    EVALUATE = "evaluate", "Evaluate"


class RunStatus(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


OVER = (RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED)


class HostClass(models.TextChoices):
    """The Celery queue a run waits in."""

    CPU = "cpu", "CPU host"
    GPU = "gpu", "GPU host"


class RunQuerySet(models.QuerySet["Run"]):
    def over(self) -> RunQuerySet:
        return self.filter(status__in=OVER)

    def abandoned(self) -> RunQuerySet:
        """Running by the record, but nobody has renewed the lease."""
        return self.filter(status=RunStatus.RUNNING, lease_until__lt=Now())


@pghistory.track(
    pghistory.InsertEvent(),
    pghistory.UpdateEvent(condition=pghistory.AnyChange("status")),
    pghistory.DeleteEvent(),
    exclude=["config", "progress", "result", "heartbeat_at", "lease_until"],
)
class Run(models.Model):
    """What to do (`kind`, `method`, `config`, `seed`, `dataset`, `student`), who does it, how far.

    The row is the truth: a Celery message only carries its id. Every change of `status` is a
    compare-and-swap. `config` is the resolved config, whole. `folder` is where the engine's files
    of the seam lie (`docs/seam.md`), under ARTIFACTS_URL.
    """

    project = models.ForeignKey("curation.Project", on_delete=models.CASCADE, related_name="runs")
    name = models.CharField(max_length=120, blank=True)
    kind = models.CharField(max_length=8, choices=RunKind.choices)
    method = models.CharField(max_length=40, blank=True)
    config = models.JSONField(default=dict)
    seed = models.BigIntegerField(default=0)
    dataset = models.ForeignKey(
        "curation.DatasetVersion",
        on_delete=models.RESTRICT,
        null=True,
        blank=True,
        related_name="runs",
    )
    student = models.ForeignKey(
        "curation.LanguageModel",
        on_delete=models.RESTRICT,
        null=True,
        blank=True,
        related_name="runs",
        help_text="The model that is trained, that writes, or that is evaluated.",
    )
    parent = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="children"
    )
    host_class = models.CharField(max_length=3, choices=HostClass.choices, default=HostClass.GPU)
    batch = models.UUIDField(default=uuid.uuid4, editable=False)
    status = models.CharField(max_length=10, choices=RunStatus.choices, default=RunStatus.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=5)
    lease_owner = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    progress = models.JSONField(default=dict, help_text='{"done", "total", "unit"}')
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    folder = models.CharField(max_length=1000, blank=True)
    launched_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=RunStatus.values), name="a_run_has_a_known_status"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=RunKind.values), name="a_run_has_a_known_kind"
            ),
            models.CheckConstraint(
                condition=~Q(kind="train") | (~Q(method="") & Q(dataset__isnull=False)),
                name="a_training_run_has_a_method_and_a_dataset",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "-id"]),
            models.Index(
                fields=["lease_until"], condition=Q(status="running"), name="the_runs_that_run"
            ),
        ]

    def __str__(self) -> str:
        return self.name or f"{self.method or self.kind} {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("run", args=[self.project.slug, self.pk])

    @property
    def is_over(self) -> bool:
        return self.status in OVER

    @transaction.atomic
    def claim(self, owner: str) -> bool:
        """Take the run if it is queued, or running under a lease that ran out.

        True for exactly one caller; a message delivered twice gets False. Leases are reckoned by
        the database's clock, because those of two hosts may differ.
        The attempt keeps what its host costs, as this process knows it.
        """
        free = Q(status=RunStatus.QUEUED) | Q(status=RunStatus.RUNNING, lease_until__lt=Now())
        claimed = Run.objects.filter(
            free, pk=self.pk, attempt__lt=F("max_attempts"), cancel_requested_at=None
        ).update(
            status=RunStatus.RUNNING,
            attempt=F("attempt") + 1,
            lease_owner=owner,
            lease_until=Now() + LEASE,
            heartbeat_at=Now(),
            started_at=Coalesce("started_at", Now()),
            error="",
        )
        if claimed:
            self.refresh_from_db()
            RunAttempt.begin(self, owner)
        return claimed == 1

    def held(self) -> models.QuerySet[Run]:
        """This run for as long as nobody else has taken it since: what is compared and swapped."""
        return Run.objects.filter(
            pk=self.pk,
            status=RunStatus.RUNNING,
            lease_owner=self.lease_owner,
            attempt=self.attempt,
        )

    def renew(self) -> bool:
        """Keep the lease; False if somebody else has taken the run since."""
        kept = self.held().update(lease_until=Now() + LEASE, heartbeat_at=Now())
        if kept:
            self.attempts.filter(number=self.attempt).update(seen_at=Now())
        return kept == 1

    def finish(self, status: str, *, error: str = "", result: dict | None = None) -> bool:
        """Compare-and-swap from running to an end, by the owner of the lease alone."""
        ended = self.held().update(
            status=status,
            error=error,
            result=result if result is not None else self.result,
            finished_at=Now(),
            lease_until=None,
        )
        return ended == 1


class RunAttempt(models.Model):
    """A host's work on a run, from its claim to its last sign of life, and what an hour of it cost.

    `price` is what the host was told when it began, none if it was told nothing: a price that
    changes later changes no old bill.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    host = models.CharField(max_length=100)
    price = models.FloatField(null=True)
    currency = models.CharField(max_length=20)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="a_run_has_each_attempt_once"),
            models.CheckConstraint(
                condition=Q(price=None) | Q(price__gt=0),
                name="an_hour_has_a_price_or_it_is_not_known",
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.run} on {self.host}"

    @classmethod
    def begin(cls, run: Run, owner: str) -> None:
        """By the host that has just claimed the run."""
        price = settings.HOST_PRICES.get(run.host_class, 0.0)
        cls.objects.create(
            run=run,
            number=run.attempt,
            host=owner.split("/", 1)[0],
            price=price if price > 0 else None,
            currency=settings.PRICE_CURRENCY[:20],
            started_at=Now(),
            seen_at=Now(),
        )

    @property
    def took(self) -> timedelta:
        return self.seen_at - self.started_at


class Metric(models.Model):
    """One number of one step. Written again by a resumed attempt, it stays one row."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="metrics")
    step = models.PositiveIntegerField()
    name = models.CharField(max_length=60)
    value = models.FloatField(null=True)

    class Meta:
        ordering = ["step"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "name", "step"], name="a_metric_has_one_value_a_step"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} at {self.step}: {self.value}"


class Checkpoint(models.Model):
    """Weights that a run wrote; `model` is the row that generates, trains on and is evaluated."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="checkpoints")
    step = models.PositiveIntegerField()
    uri = models.CharField(max_length=1000)
    sha256 = models.CharField(max_length=64, help_text="Of the weights file.")
    model = models.OneToOneField(
        "curation.LanguageModel", on_delete=models.CASCADE, related_name="checkpoint"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-step"]
        constraints = [
            models.UniqueConstraint(fields=["run", "step"], name="a_run_has_one_checkpoint_a_step")
        ]

    def __str__(self) -> str:
        return f"step {self.step} of {self.run}"


class Evaluation(models.Model):
    """How a model did on a split: `summary` holds the figures with their intervals."""

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="evaluation")
    model = models.ForeignKey(
        "curation.LanguageModel", on_delete=models.CASCADE, related_name="evaluations"
    )
    split = models.CharField(max_length=10)
    questions = models.PositiveIntegerField()
    questions_sha256 = models.CharField(
        max_length=64, help_text="Of the question ids: only equal ones compare."
    )
    summary = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.model} on {self.split}"


class EvaluationItem(models.Model):
    """One answer of an evaluation: index 0 is the greedy one, the others were sampled."""

    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="items")
    question = models.ForeignKey(
        "curation.Question", on_delete=models.CASCADE, related_name="evaluation_items"
    )
    index = models.PositiveSmallIntegerField()
    thought = models.TextField(blank=True)
    answer = models.TextField(blank=True)
    correct = models.BooleanField(null=True)
    valid_steps = models.FloatField(null=True)
    token_count = models.PositiveIntegerField(default=0)
    finish_reason = models.CharField(max_length=20, blank=True)

    class Meta:
        ordering = ["question_id", "index"]
        constraints = [
            models.UniqueConstraint(
                fields=["evaluation", "question", "index"],
                name="an_answer_is_evaluated_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.question_id}/{self.index}: {self.correct}"


class WorkerManager(models.Manager["Worker"]):
    """Each worker with how long it has been silent, by the database's clock."""

    def get_queryset(self) -> models.QuerySet[Worker]:
        silence = models.ExpressionWrapper(
            Now() - F("heartbeat_at"), output_field=models.DurationField()
        )
        return super().get_queryset().annotate(silent_for=silence)


class Worker(models.Model):
    """A host that takes runs: alive while its heartbeat is young.

    `clock_ahead` is what its clock shows beyond the database's, in seconds. Nothing hangs on it:
    leases and heartbeats are stamped by the database. It is told because the host's own logs and
    its calls to an object store go by that clock.
    """

    name = models.CharField(max_length=200, unique=True)
    host_class = models.CharField(max_length=3, choices=HostClass.choices)
    address = models.CharField(max_length=60, blank=True)
    device = models.CharField(max_length=200, blank=True)
    memory_bytes = models.BigIntegerField(null=True)
    memory_used_bytes = models.BigIntegerField(null=True)
    clock_ahead = models.FloatField(null=True)
    running = models.ForeignKey(
        Run, on_delete=models.SET_NULL, null=True, blank=True, related_name="workers"
    )
    started_at = models.DateTimeField(auto_now_add=True)
    heartbeat_at = models.DateTimeField()

    objects = WorkerManager()

    class Meta:
        ordering = ["host_class", "name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_alive(self) -> bool:
        silent_for: timedelta = self.silent_for  # type: ignore[attr-defined]  # by the manager
        return silent_for < SILENT_AFTER

    @property
    def memory_percent(self) -> int | None:
        """How much of its memory is in use."""
        if not self.memory_bytes or self.memory_used_bytes is None:
            return None
        return round(100 * self.memory_used_bytes / self.memory_bytes)

    @property
    def clock_words(self) -> str:
        """How far its clock is off, for a person."""
        off = round(self.clock_ahead or 0.0)
        return f"{abs(off):,} s {'ahead' if off > 0 else 'behind'}"

    @property
    def clock_is_off(self) -> bool:
        """By so much that its logs mislead, and an object store refuses its signatures soon."""
        return abs(self.clock_ahead or 0.0) > CLOCK_TOLERANCE
