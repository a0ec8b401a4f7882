"""Telling others what happened: `announce` writes it down, a cpu worker delivers it.

A delivery is a row, written in the transaction of what it tells of, so nothing is told that did
not happen and nothing that happened is forgotten. It is tried again with growing pauses for a day,
then given up. A request is signed (`sign`), follows no redirect, and goes only to addresses of the
public network: the name is resolved once, every address is checked, and the connection is made to
the address that was checked.
"""

from __future__ import annotations

import hmac
import http.client
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import SplitResult, urlsplit
from uuid import NAMESPACE_URL, uuid5

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.crypto import salted_hmac

from curation.messages import send
from curation.models import DatasetVersion, Project
from training.models import Delivery, Happening, Iteration, Run, Subscription, Webhook

log = structlog.get_logger()

DELIVER = "training.tasks.deliver"
TIMEOUT, DEADLINE = 10.0, 20.0  # seconds: of one answer from the network, and of a whole attempt
KEPT = 500  # characters of the reply
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=6)
GIVE_UP_AFTER = timedelta(days=1)
LEASE = timedelta(seconds=90)
AT_ONCE = 100
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(Exception):
    """An address that must not be asked; the message is a sentence."""


def announce(project: Project, event: str, payload: dict[str, Any]) -> list[Delivery]:
    """Tell everybody who wants to know, once this transaction is committed.

    `event` is one of `Happening`. The same event with the same payload is told once, however often
    it is announced; so put into the payload what makes it another one, and no clock's time.
    """
    rows = [
        *(
            Delivery(webhook=one)
            for one in project.webhooks.filter(is_on=True, told_of__contains=[event])
        ),
        *(Delivery(subscription=one) for one in listeners(project, event)),
    ]
    for row in rows:
        row.event, row.payload, row.key = event, payload, key_of(row, event, payload)
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    keys = [row.key for row in rows]
    fresh = list(Delivery.objects.filter(key__in=keys, attempts=0).waiting()) if keys else []
    for delivery in fresh:
        tell(delivery)
    return fresh


def listeners(project: Project, event: str) -> Iterator[Subscription]:
    """Members who want an e-mail, where the installation can send one."""
    if not mail_is_set():
        return
    members = project.memberships.values("user")
    found = project.subscriptions.filter(told_of__contains=[event], user__in=members)
    yield from found.exclude(user__email="").filter(user__is_active=True)


def key_of(row: Delivery, event: str, payload: dict[str, Any]) -> Any:
    """The same for the same telling to the same address."""
    to = f"webhook-{row.webhook_id}" if row.webhook_id else f"subscription-{row.subscription_id}"
    said = json.dumps(payload, sort_keys=True, cls=DjangoJSONEncoder)
    return uuid5(NAMESPACE_URL, f"stillroom:{to}:{event}:{said}")


def tell(delivery: Delivery) -> None:
    """Send the delivery's id to a cpu worker after commit; the clock sends it again."""
    pk = delivery.pk
    transaction.on_commit(lambda: send(DELIVER, pk, "cpu"))


def announce_run(run: Run) -> None:
    """That a run is over. A cancelled one is no news to who cancelled it."""
    events = {"done": Happening.RUN_FINISHED, "failed": Happening.RUN_FAILED}
    status = Run.objects.filter(pk=run.pk).values_list("status", "attempt", "error").first()
    if status is None or status[0] not in events:
        return
    payload = {
        "run": run.pk,
        "kind": run.kind,
        "method": run.method,
        "name": str(run),
        "status": status[0],
        "attempt": status[1],
        "error": status[2],
        "path": run.get_absolute_url(),
    }
    announce(run.project, events[status[0]], payload)


def announce_version(version: DatasetVersion) -> None:
    """That a version is made."""
    payload = {
        "version": version.number,
        "name": version.name,
        "sha256": version.sha256,
        "questions": version.counts.get("questions"),
        "rationales": version.counts.get("rationales"),
        "path": version.get_absolute_url(),
    }
    announce(version.project, Happening.VERSION_MADE, payload)


def announce_gate(iteration: Iteration) -> None:
    """That an iteration waits for people."""
    experiment = iteration.experiment
    payload = {
        "experiment": experiment.pk,
        "iteration": iteration.number,
        "name": experiment.name,
        "path": experiment.get_absolute_url(),
    }
    announce(experiment.project, Happening.GATE_OPEN, payload)


def ping(webhook: Webhook) -> Delivery:
    """A test, delivered like everything else, also to a webhook that was told before."""
    delivery = Delivery.objects.create(
        webhook=webhook, event=Happening.PING, payload={"path": webhook.get_absolute_url()}
    )
    tell(delivery)
    return delivery


def deliver_again(delivery: Delivery) -> bool:
    """Begin anew with one that arrived or was given up; False if it waits anyway."""
    now = timezone.now()
    over = Delivery.objects.filter(pk=delivery.pk).exclude(delivered_at=None, given_up_at=None)
    begun = over.update(delivered_at=None, given_up_at=None, since=now, next_at=now)
    if begun:
        tell(delivery)
    return begun == 1


def tell_of_the_due() -> int:
    """Send out what is due, and give up what has been tried for a day. Called by the clock."""
    now = timezone.now()
    old = Delivery.objects.waiting().filter(since__lt=now - GIVE_UP_AFTER, next_at__lte=now)
    old.update(given_up_at=now)
    due = Delivery.objects.due().order_by("next_at").values_list("pk", flat=True)[:AT_ONCE]
    return sum(deliver(pk) for pk in due)


def deliver(pk: int) -> bool:
    """Try one delivery, unless somebody else does or it is over. True if it arrived."""
    now = timezone.now()
    taken = Delivery.objects.filter(pk__in=Delivery.objects.due().filter(pk=pk).values("pk"))
    if not taken.filter(next_at__lte=now).update(next_at=now + LEASE, attempts=F("attempts") + 1):
        return False
    delivery = Delivery.objects.select_related(
        "webhook__project", "subscription__project", "subscription__user"
    ).get(pk=pk)
    outcome = post(delivery) if delivery.webhook else mail(delivery)
    record(delivery, outcome)
    log.info("delivery_tried", delivery=pk, arrived=outcome.arrived, error=outcome.error)
    return outcome.arrived


@dataclass(frozen=True)
class Outcome:
    """How one attempt ended."""

    arrived: bool
    status_code: int | None = None
    answer: str = ""
    error: str = ""


def record(delivery: Delivery, outcome: Outcome) -> None:
    """Note it, and when to try next."""
    now = timezone.now()
    found = Delivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts).waiting()
    next_at = now + pause_after(delivery.attempts)
    late = not outcome.arrived and next_at > delivery.since + GIVE_UP_AFTER
    found.update(
        delivered_at=now if outcome.arrived else None,
        given_up_at=now if late else None,
        next_at=next_at,
        status_code=outcome.status_code,
        answer=outcome.answer[:KEPT].replace("\0", ""),
        error=outcome.error[:300],
    )


def pause_after(attempts: int) -> timedelta:
    """30 s, 2 min, 8 min, 32 min, 2 h, then every 6 h."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 4 ** min(attempts - 1, 8))


# What is sent, and how a receiver knows that it came from here.


def secret_of(webhook: Webhook) -> str:
    """Derived, so that no copy of the database holds it; another SECRET_KEY makes another one."""
    return "whsec_" + salted_hmac("training.webhooks", webhook.salt, algorithm="sha256").hexdigest()


def sign(secret: str, at: int, body: bytes) -> str:
    """`t=TIME,v1=HEX`: the HMAC-SHA256 of TIME, a full stop and the body, keyed by the secret."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, sha256).hexdigest()
    return f"t={at},v1={digest}"


def body_of(delivery: Delivery) -> bytes:
    """The JSON that is sent: the same at every attempt."""
    assert delivery.webhook is not None
    project = delivery.webhook.project
    said = {
        "id": str(delivery.key),
        "event": delivery.event,
        "created_at": delivery.created_at,
        "project": project.slug,
        "data": with_address(delivery.payload),
    }
    return json.dumps(said, cls=DjangoJSONEncoder, ensure_ascii=False).encode()


def with_address(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload with the whole address of its page, where PUBLIC_URL says what that is."""
    if settings.PUBLIC_URL and payload.get("path"):
        return {**payload, "url": settings.PUBLIC_URL.rstrip("/") + payload["path"]}
    return payload


def headers_of(delivery: Delivery, body: bytes) -> dict[str, str]:
    assert delivery.webhook is not None
    return {
        "Content-Type": "application/json",
        "User-Agent": "Stillroom",
        "Idempotency-Key": str(delivery.key),
        "Stillroom-Event": delivery.event,
        "Stillroom-Signature": sign(secret_of(delivery.webhook), int(time.time()), body),
    }


def post(delivery: Delivery) -> Outcome:
    """One request; 2xx is an arrival, a redirect is not."""
    assert delivery.webhook is not None
    body = body_of(delivery)
    try:
        status, answer = request(delivery.webhook.url, body, headers_of(delivery, body))
    except Refused as error:
        return Outcome(False, error=str(error))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Outcome(False, error=f"{type(error).__name__}: {error}")
    if 200 <= status < 300:
        return Outcome(True, status, answer)
    redirect = (
        " A redirect is not followed; give the address it leads to." if status // 100 == 3 else ""
    )
    return Outcome(False, status, answer, f"It answered {status}.{redirect}")


def request(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    """POST to an address that was checked: status, and the beginning of the reply."""
    parts = urlsplit(url)
    with connected(parts) as connection:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, {"Host": parts.netloc, **headers})
        response = connection.getresponse()
        return response.status, response.read(4 * KEPT).decode("utf-8", "replace")[:KEPT]


@contextmanager
def connected(parts: SplitResult) -> Iterator[http.client.HTTPConnection]:
    """A connection to one of the host's checked addresses, cut off at the deadline."""
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if parts.scheme not in ("http", "https") or not host:
        raise Refused("The address has to begin with https:// or http:// and name a host.")
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    connection.sock = socket.create_connection((allowed_address(host, port), port), TIMEOUT)
    cut = threading.Timer(DEADLINE, _cut_off, [connection])
    cut.start()
    try:
        if parts.scheme == "https":
            _encrypt(connection)
        yield connection
    finally:
        cut.cancel()
        connection.close()


def _encrypt(connection: http.client.HTTPConnection) -> None:
    """TLS, with the certificate checked against the name and not the address."""
    secured = ssl.create_default_context().wrap_socket(
        connection.sock, server_hostname=connection.host, do_handshake_on_connect=False
    )
    connection.sock = secured
    secured.do_handshake()


def _cut_off(connection: http.client.HTTPConnection) -> None:
    """Somebody who answers drop by drop is not waited for."""
    with suppress(OSError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def allowed_address(host: str, port: int) -> str:
    """The address to connect to. Raises `Refused` if the name leads, even by one of its addresses,
    to this host or a private network, unless WEBHOOK_PRIVATE_ADDRESSES allows it."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Refused(f"The name {host} cannot be resolved.") from error
    addresses = [str(info[4][0]) for info in found]
    if not settings.WEBHOOK_PRIVATE_ADDRESSES:
        for address in addresses:
            if not is_public(address):
                raise Refused(
                    f"{host} leads to {address}, which is no public address; "
                    "WEBHOOK_PRIVATE_ADDRESSES=1 allows such."
                )
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether it is an address of the public network, also where IPv6 wraps an IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in NAT64:
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if wrapped is not None:
            return wrapped.is_global and not wrapped.is_multicast
    return ip.is_global and not ip.is_multicast


# E-mail, where the installation can send it.


def mail_is_set() -> bool:
    """Whether an e-mail would leave this installation."""
    return not settings.EMAIL_BACKEND.endswith((".console.EmailBackend", ".dummy.EmailBackend"))


def mail(delivery: Delivery) -> Outcome:
    """One e-mail to one member."""
    subscription = delivery.subscription
    assert subscription is not None
    try:
        send_mail(subject_of(delivery), text_of(delivery), None, [subscription.user.email])
    except OSError as error:  # SMTPException is one
        return Outcome(False, error=f"{type(error).__name__}: {error}")
    return Outcome(True)


def subject_of(delivery: Delivery) -> str:
    assert delivery.subscription is not None
    payload = delivery.payload
    what = delivery.what
    words = {
        Happening.RUN_FINISHED: f"{what} is done",
        Happening.RUN_FAILED: f"{what} failed",
        Happening.GATE_OPEN: f"{what} waits for people",
        Happening.VERSION_MADE: f"version {payload.get('version')} is made",
    }
    said = words.get(Happening(delivery.event), delivery.get_event_display())
    return " ".join(f"{delivery.subscription.project}: {said}".split())[:200]


def text_of(delivery: Delivery) -> str:
    """What happened, a line a fact."""
    payload = with_address(delivery.payload)
    facts = [f"{name}: {value}" for name, value in payload.items() if value not in ("", None)]
    label = delivery.get_event_display()
    return (
        f"{label}.\n\n" + "\n".join(facts) + "\n\nChange what you are told on the page Notices.\n"
    )
