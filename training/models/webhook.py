"""Who is told when something happens in a project, and every telling as a row of its own."""

from __future__ import annotations

import uuid

import pghistory
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import URLValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import get_random_string


class Happening(models.TextChoices):
    """What is told of. `PING` is the test that an owner asks for."""

    RUN_FINISHED = "run.finished", "A run is done"
    RUN_FAILED = "run.failed", "A run failed"
    GATE_OPEN = "gate.open", "An iteration waits for people"
    VERSION_MADE = "version.made", "A dataset version is made"
    PING = "ping", "Test"


# What a person may choose from.
CHOICES = [(value, label) for value, label in Happening.choices if value != Happening.PING]


def new_salt() -> str:
    return get_random_string(32)


@pghistory.track(
    pghistory.InsertEvent(),
    pghistory.UpdateEvent(),
    pghistory.DeleteEvent(),
    exclude=["salt"],
)
class Webhook(models.Model):
    """An address outside that is told. Its secret is not stored: `training.webhooks.secret_of`
    derives it from `salt` and the installation's SECRET_KEY."""

    project = models.ForeignKey(
        "curation.Project", on_delete=models.CASCADE, related_name="webhooks"
    )
    url = models.CharField(max_length=1000, validators=[URLValidator(schemes=["https", "http"])])
    told_of = ArrayField(models.CharField(max_length=20), default=list)
    is_on = models.BooleanField(default=True)
    salt = models.CharField(max_length=32, default=new_salt, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "url"], name="an_address_is_one_webhook_of_a_project"
            ),
            models.CheckConstraint(
                condition=Q(url__startswith="https://") | Q(url__startswith="http://"),
                name="a_webhook_has_an_http_address",
            ),
        ]

    def __str__(self) -> str:
        return self.url

    def get_absolute_url(self) -> str:
        return reverse("webhook", args=[self.project.slug, self.pk])


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class Subscription(models.Model):
    """What a member wants an e-mail about."""

    project = models.ForeignKey(
        "curation.Project", on_delete=models.CASCADE, related_name="subscriptions"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="subscriptions"
    )
    told_of = ArrayField(models.CharField(max_length=20), default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user"], name="a_member_has_one_subscription_in_a_project"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user_id} of {', '.join(self.told_of) or 'nothing'}"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def waiting(self) -> DeliveryQuerySet:
        return self.filter(delivered_at=None, given_up_at=None)

    def due(self) -> DeliveryQuerySet:
        """Those that may be tried now; a webhook that is off waits."""
        on = Q(webhook__is_on=True) | Q(subscription__isnull=False)
        return self.waiting().filter(on, next_at__lte=timezone.now())


class Delivery(models.Model):
    """One thing told to one address: written with what happened, in one transaction.

    `key` is the same for the same telling, so announcing twice writes one row, and the receiver
    can tell a repetition. Trying is a lease: whoever moves `next_at` on may try.
    """

    webhook = models.ForeignKey(
        Webhook, on_delete=models.CASCADE, null=True, blank=True, related_name="deliveries"
    )
    subscription = models.ForeignKey(
        Subscription, on_delete=models.CASCADE, null=True, blank=True, related_name="deliveries"
    )
    event = models.CharField(max_length=20, choices=Happening.choices)
    payload = models.JSONField(default=dict)
    key = models.UUIDField(default=uuid.uuid4, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    since = models.DateTimeField(
        default=timezone.now, help_text="When trying began; a redelivery begins anew."
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(default=timezone.now)
    delivered_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)
    status_code = models.PositiveSmallIntegerField(null=True)
    answer = models.CharField(max_length=500, blank=True, help_text="How the reply began.")
    error = models.CharField(max_length=300, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(webhook__isnull=False) ^ Q(subscription__isnull=False),
                name="a_delivery_goes_to_one_address",
            ),
            models.CheckConstraint(
                condition=Q(delivered_at=None) | Q(given_up_at=None),
                name="a_delivery_arrived_or_was_given_up",
            ),
            models.CheckConstraint(
                condition=Q(event__in=Happening.values), name="a_delivery_tells_a_known_event"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_at"],
                condition=Q(delivered_at=None, given_up_at=None),
                name="the_deliveries_that_wait",
            )
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.key}"

    @property
    def state(self) -> str:
        """One word: arrived, given up, waiting, or new."""
        if self.delivered_at:
            return "arrived"
        if self.given_up_at:
            return "given up"
        return "waiting" if self.attempts else "new"

    @property
    def what(self) -> str:
        """What it tells of, in a few words."""
        version = self.payload.get("version")
        return self.payload.get("name") or (f"version {version}" if version else "this page")

    @property
    def chip(self) -> str:
        return {"arrived": "ok", "given up": "bad", "waiting": "warn"}.get(self.state, "info")
