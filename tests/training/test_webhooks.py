"""What happens in a project is told: signed, once, to public addresses, until it arrives."""

from __future__ import annotations

import hmac
import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import timezone

from training import webhooks
from training.models import Delivery, Run, Subscription, Webhook
from training.versions.freezing import freeze
from training.versions.recipe import Recipe
from training.webhooks import announce, deliver, deliver_again, is_public, pause_after, secret_of

pytestmark = pytest.mark.django_db

GATE = {"experiment": 1, "iteration": 2, "name": "Spring, iteration 2"}


class Listener(ThreadingHTTPServer):
    """A real server that remembers what came and answers as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.came: list[tuple[str, dict[str, str], bytes]] = []
        self.status, self.reply, self.location = 200, b"thank you", ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?token=1"


class Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.end_headers()
        self.wfile.write(self.server.reply)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def listener(settings) -> Iterator[Listener]:
    settings.WEBHOOK_PRIVATE_ADDRESSES = True
    server = Listener()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def webhook(project, listener) -> Webhook:
    events = ["gate.open", "version.made", "run.finished", "run.failed"]
    return Webhook.objects.create(project=project, url=listener.url, told_of=events)


def told(project, payload=GATE) -> Delivery:
    (delivery,) = announce(project, "gate.open", payload)
    return delivery


def again_now(delivery: Delivery) -> bool:
    """Try once more without waiting for the pause."""
    Delivery.objects.filter(pk=delivery.pk).update(next_at=timezone.now())
    arrived = deliver(delivery.pk)
    delivery.refresh_from_db()
    return arrived


def test_a_telling_arrives_signed(project, webhook, listener):
    delivery = told(project)
    assert deliver(delivery.pk)
    ((path, headers, body),) = listener.came
    assert path == "/hook?token=1"
    parts = dict(part.split("=") for part in headers["Stillroom-Signature"].split(","))
    signed = f"{parts['t']}.".encode() + body
    secret = secret_of(webhook).encode()
    assert parts["v1"] == hmac.new(secret, signed, sha256).hexdigest()
    assert abs(int(parts["t"]) - time.time()) < 60
    said = json.loads(body)
    assert (said["event"], said["project"], said["data"]) == ("gate.open", "orchard", GATE)
    assert said["id"] == headers["Idempotency-Key"] == str(delivery.key)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.status_code, delivery.answer) == ("arrived", 200, "thank you")


def test_what_arrived_is_not_told_again(project, webhook, listener):
    delivery = told(project)
    assert deliver(delivery.pk)
    assert not deliver(delivery.pk)
    assert announce(project, "gate.open", GATE) == []
    assert len(listener.came) == 1
    assert told(project, {**GATE, "iteration": 3}).key != delivery.key


def test_a_signature_is_the_sum_that_the_docs_show():
    said = webhooks.sign("whsec_quince", 1700000000, b'{"event":"ping"}')
    by_hand = hmac.new(b"whsec_quince", b'1700000000.{"event":"ping"}', sha256).hexdigest()
    assert said == f"t=1700000000,v1={by_hand}"


def test_two_webhooks_have_two_secrets_and_the_database_has_none(project, webhook):
    other = Webhook.objects.create(project=project, url="https://example.org/", told_of=[])
    assert secret_of(webhook) != secret_of(other)
    assert secret_of(webhook)[6:] not in str(Webhook.objects.values().get(pk=webhook.pk))


def test_a_failure_is_tried_again_after_a_pause_under_the_same_key(project, webhook, listener):
    listener.status, listener.reply = 500, b"not today" * 400
    delivery = told(project)
    assert not deliver(delivery.pk)
    assert not deliver(delivery.pk), "the pause has not passed"
    delivery.refresh_from_db()
    assert (delivery.state, delivery.error) == ("waiting", "It answered 500.")
    assert len(delivery.answer) == webhooks.KEPT
    assert delivery.next_at > timezone.now() + timedelta(seconds=20)
    listener.status = 204
    assert again_now(delivery)
    keys = {headers["Idempotency-Key"] for _, headers, _ in listener.came}
    bodies = {body for _, _, body in listener.came}
    assert (len(listener.came), keys, len(bodies)) == (2, {str(delivery.key)}, 1)
    assert (delivery.state, delivery.attempts) == ("arrived", 2)


def test_the_pauses_grow_to_six_hours_and_end_after_a_day():
    pauses = [pause_after(n).total_seconds() for n in range(1, 9)]
    assert pauses == [30, 120, 480, 1920, 7680, 21600, 21600, 21600]
    assert sum(pauses) < timedelta(days=1).total_seconds() < sum(pauses) + pauses[-1]


def test_after_a_day_it_is_given_up_and_can_be_sent_anew(project, webhook, listener):
    listener.status = 503
    delivery = told(project)
    Delivery.objects.update(since=timezone.now() - timedelta(hours=23, minutes=59, seconds=40))
    assert not again_now(delivery)
    assert delivery.state == "given up"
    assert not again_now(delivery)
    assert len(listener.came) == 1
    listener.status = 200
    assert deliver_again(delivery)
    assert not deliver_again(delivery), "it waits already"
    assert again_now(delivery)
    assert delivery.state == "arrived"


def test_a_worker_that_dies_while_it_tries_leaves_a_lease_that_runs_out(
    project, webhook, listener, monkeypatch
):
    delivery = told(project)
    with monkeypatch.context() as dying:
        dying.setattr(webhooks, "record", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            deliver(delivery.pk)
    assert not deliver(delivery.pk), "somebody else may be at it"
    assert again_now(delivery)
    assert (len(listener.came), delivery.attempts) == (2, 2)


def test_the_clock_delivers_what_no_message_came_for(project, webhook, listener):
    told(project)
    assert webhooks.tell_of_the_due() == 1
    assert webhooks.tell_of_the_due() == 0
    assert len(listener.came) == 1


def test_a_webhook_that_is_off_hears_nothing(project, webhook, listener):
    waiting = told(project)
    Webhook.objects.update(is_on=False)
    assert announce(project, "gate.open", {"iteration": 9}) == []
    assert not deliver(waiting.pk)
    assert listener.came == []


def test_it_hears_only_of_what_was_chosen(project, webhook):
    Webhook.objects.update(told_of=["run.failed"])
    assert announce(project, "gate.open", GATE) == []
    assert len(announce(project, "run.failed", {"run": 1})) == 1


def test_a_redirect_is_not_followed(project, webhook, listener):
    listener.status, listener.location = 302, listener.url
    delivery = told(project)
    assert not deliver(delivery.pk)
    delivery.refresh_from_db()
    assert len(listener.came) == 1
    assert "A redirect is not followed" in delivery.error


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://[::1]:{port}/",
        "http://0.0.0.0:{port}/", "http://2130706433:{port}/", "http://[::ffff:127.0.0.1]:{port}/",
    ],
)  # fmt: skip
def test_this_host_is_not_asked(project, webhook, listener, settings, url):
    settings.WEBHOOK_PRIVATE_ADDRESSES = False
    Webhook.objects.update(url=url.format(port=listener.server_port))
    delivery = told(project)
    assert not deliver(delivery.pk)
    delivery.refresh_from_db()
    assert listener.came == []
    assert "no public address" in delivery.error or "cannot be resolved" in delivery.error


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700:4700::1111", True), ("10.0.0.1", False),
        ("172.16.3.4", False), ("192.168.1.1", False), ("169.254.169.254", False),
        ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False), ("fd00::1", False),
        ("fe80::1%eth0", False), ("::", False), ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True), ("64:ff9b::a00:1", False), ("2002:7f00:1::", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address, public):
    assert is_public(address) == public


def test_the_address_that_was_checked_is_the_one_that_is_asked(
    project, webhook, listener, settings, monkeypatch
):
    """A name that leads elsewhere at the second look gains nothing by it."""
    import socket

    asked = []

    def resolve(host, port, **_):
        asked.append(host)
        address = "93.184.215.14" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    connected = []
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(
        socket, "create_connection", lambda address, *_: connected.append(address) or 1 / 0
    )
    settings.WEBHOOK_PRIVATE_ADDRESSES = False
    Webhook.objects.update(url="http://rebinding.example/")
    with pytest.raises(ZeroDivisionError):
        deliver(told(project).pk)
    assert (asked, connected) == (["rebinding.example"], [("93.184.215.14", 80)])


def test_one_private_address_among_several_is_enough_to_refuse(
    project, webhook, settings, monkeypatch
):
    import socket

    both = [(socket.AF_INET, 1, 6, "", (ip, 80)) for ip in ("8.8.8.8", "10.1.2.3")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    settings.WEBHOOK_PRIVATE_ADDRESSES = False
    delivery = told(project)
    assert not deliver(delivery.pk)
    delivery.refresh_from_db()
    assert "leads to 10.1.2.3" in delivery.error


def test_nobody_waits_for_a_server_that_says_nothing(project, webhook, listener, monkeypatch):
    import socket

    monkeypatch.setattr(webhooks, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        Webhook.objects.update(url=f"http://127.0.0.1:{deaf.getsockname()[1]}/")
        delivery = told(project)
        assert not deliver(delivery.pk)
    delivery.refresh_from_db()
    assert "timed out" in delivery.error


def test_a_reply_drop_by_drop_is_cut_off(project, webhook, listener, monkeypatch):
    import socket

    def drip(server: socket.socket) -> None:
        peer, _ = server.accept()
        try:
            while True:
                peer.send(b"H")
                time.sleep(0.05)
        except OSError:
            pass

    monkeypatch.setattr(webhooks, "DEADLINE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as slow:
        threading.Thread(target=drip, args=(slow,), daemon=True).start()
        Webhook.objects.update(url=f"http://127.0.0.1:{slow.getsockname()[1]}/")
        assert not deliver(told(project).pk)


# What is told of.


def test_a_version_that_is_made_is_told_of_and_one_that_is_not_is_not(project, webhook, version):
    from tests.make import make_group

    make_group(project, text="Another?")
    made = freeze(project, Recipe(), None, "spring")
    delivery = Delivery.objects.get()
    assert delivery.event == "version.made"
    assert (delivery.payload["version"], delivery.payload["sha256"]) == (made.number, made.sha256)
    with pytest.raises(ValueError, match="chooses no rationale"):
        freeze(project, Recipe(splits=["test"]), None)
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize(("status", "event"), [("done", "run.finished"), ("failed", "run.failed")])
def test_a_run_that_ends_is_told_of(train_run, webhook, status, event):
    from training.runs.supervise import Attempt

    assert train_run.claim("tester")
    attempt = Attempt(train_run, [], 0.1, enqueue=False)
    attempt.end(status, error="Out of cider." if status == "failed" else "")
    attempt.end(status)
    delivery = Delivery.objects.get()
    assert delivery.event == event
    assert (delivery.payload["run"], delivery.payload["status"]) == (train_run.pk, status)
    assert delivery.payload["path"] == train_run.get_absolute_url()


def test_a_cancelled_run_is_no_news(train_run, webhook):
    from training.runs.supervise import Attempt

    assert train_run.claim("tester")
    Attempt(train_run, [], 0.1, enqueue=False).end("cancelled")
    assert not Delivery.objects.exists()


def test_what_is_rolled_back_is_never_told(project, webhook):
    from django.db import transaction

    def told_in_vain() -> None:
        with transaction.atomic():
            announce(project, "gate.open", GATE)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        told_in_vain()
    assert not Delivery.objects.exists()


# By e-mail.


def test_a_member_who_subscribed_gets_a_mail(project, researcher, settings):
    settings.PUBLIC_URL = "https://stillroom.example/"
    researcher.email = "rosa@orchard.example"
    researcher.save()
    Subscription.objects.create(project=project, user=researcher, told_of=["run.failed"])
    payload = {"run": 7, "name": "sft 7", "error": "Out of cider.", "path": "/p/orchard/runs/7/"}
    (delivery,) = announce(project, "run.failed", payload)
    assert deliver(delivery.pk)
    (sent,) = mail.outbox
    assert (sent.to, sent.subject) == (["rosa@orchard.example"], "Orchard: sft 7 failed")
    assert "Out of cider." in sent.body
    assert "https://stillroom.example/p/orchard/runs/7/" in sent.body


def test_who_left_the_project_gets_none(project, stranger, settings):
    stranger.email = "stan@orchard.example"
    stranger.save()
    Subscription.objects.create(project=project, user=stranger, told_of=["run.failed"])
    assert announce(project, "run.failed", {"run": 7}) == []


def test_without_a_mail_server_nobody_is_promised_one(client, project, viewer, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    client.force_login(viewer)
    page = client.get(reverse("notices", args=["orchard"])).content.decode()
    assert "EMAIL_URL" in page
    assert "<form" not in page.split("<main")[1]


# The pages.


def test_the_secret_is_shown_once(client, owner, project):
    client.force_login(owner)
    url = reverse("webhooks", args=["orchard"])
    sent = {"url": "https://example.org/hook", "told_of": ["run.failed"]}
    answer = client.post(url, sent)
    webhook = Webhook.objects.get()
    assert answer.url == webhook.get_absolute_url()
    assert secret_of(webhook) in client.get(answer.url).content.decode()
    assert secret_of(webhook) not in client.get(answer.url).content.decode()
    before = secret_of(webhook)
    client.post(reverse("webhook-secret", args=["orchard", webhook.pk]))
    webhook.refresh_from_db()
    page = client.get(answer.url).content.decode()
    assert secret_of(webhook) in page
    assert secret_of(webhook) != before


@pytest.mark.parametrize(
    "url", ["", "example.org", "ftp://example.org/", "https://me:pw@example.org/", "http://a b/"]
)
def test_an_address_without_sense_is_refused_at_its_field(client, owner, project, url):
    client.force_login(owner)
    answer = client.post(
        reverse("webhooks", args=["orchard"]), {"url": url, "told_of": ["run.failed"]}
    )
    assert answer.status_code == 422
    assert answer.context["form"].errors["url"]
    assert not Webhook.objects.exists()


def test_an_owner_tests_turns_off_and_removes(client, owner, webhook, listener):
    client.force_login(owner)
    pages = {
        name: reverse(name, args=["orchard", webhook.pk])
        for name in ("webhook", "webhook-test", "webhook-switch", "webhook-remove")
    }
    client.post(pages["webhook-test"])
    delivery = Delivery.objects.get(event="ping")
    assert deliver(delivery.pk)
    page = client.get(pages["webhook"]).content.decode()
    assert "arrived" in page
    assert "thank you" in page
    client.post(pages["webhook-switch"])
    webhook.refresh_from_db()
    assert not webhook.is_on
    client.post(pages["webhook-remove"])
    assert not Webhook.objects.exists()


def test_a_given_up_delivery_has_a_button(client, owner, project, webhook):
    delivery = told(project)
    Delivery.objects.update(given_up_at=timezone.now(), error="It answered 500.", attempts=9)
    client.force_login(owner)
    page = client.get(webhook.get_absolute_url()).content.decode()
    again = reverse("delivery-again", args=["orchard", delivery.pk])
    assert again in page
    assert "given up" in page
    client.post(again)
    delivery.refresh_from_db()
    assert delivery.state == "waiting"


def test_another_projects_webhook_is_not_there(client, owner, webhook, stranger):
    from curation.models import Membership, Project

    other = Project.objects.create(slug="cellar", name="Cellar")
    Membership.objects.create(project=other, user=stranger, role="owner")
    client.force_login(stranger)
    for name in ("webhook", "webhook-test", "webhook-secret"):
        url = reverse(name, args=["cellar", webhook.pk])
        assert client.post(url).status_code == 404


def test_a_page_of_deliveries_costs_the_same_however_many(
    client, owner, project, webhook, django_assert_max_num_queries
):
    for number in range(60):
        announce(project, "gate.open", {"iteration": number})
    client.force_login(owner)
    with django_assert_max_num_queries(9):
        client.get(webhook.get_absolute_url())


def test_no_run_pays_for_webhooks_that_nobody_has(train_run, django_assert_max_num_queries):
    Run.objects.filter(pk=train_run.pk).update(status="done")
    with django_assert_max_num_queries(3):
        webhooks.announce_run(train_run)
