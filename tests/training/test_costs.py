"""The bill of a run: at the prices of the hosts that did it, on the day they did."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.training.conftest import FAKE
from training.models import Run
from training.runs.costs import costs, unpriced_hosts
from training.runs.supervise import supervise

pytestmark = pytest.mark.django_db


def worked(run: Run, host: str, **length: int) -> None:
    """A host takes the run, works for so long and lets go of it."""
    assert run.claim(f"{host}/1/a")
    attempt = run.attempts.get(number=run.attempt)
    attempt.seen_at = attempt.started_at + timedelta(**length)
    attempt.save(update_fields=["seen_at"])
    Run.objects.filter(pk=run.pk).update(status="queued", lease_until=None)


def bill(run: Run) -> list[tuple[str, str]]:
    return [(str(cost), cost.what) for cost in costs(Run.objects.get(pk=run.pk))]


def test_a_price_that_changes_later_changes_no_old_bill(train_run, settings):
    settings.HOST_PRICES, settings.PRICE_CURRENCY = {"cpu": 0.0, "gpu": 2.0}, "EUR"
    worked(train_run, "oak:gpu", minutes=90)
    settings.HOST_PRICES, settings.PRICE_CURRENCY = {"cpu": 0.0, "gpu": 50.0}, "USD"
    assert bill(train_run) == [("3.00 EUR", "oak:gpu, 2 EUR an hour")]


def test_each_attempt_is_billed_at_the_rate_of_its_own_host(train_run, settings):
    settings.PRICE_CURRENCY = "EUR"
    for host, price, minutes in (("oak:gpu", 2.0, 30), ("elm:gpu", 4.0, 15), ("oak:gpu", 2.0, 60)):
        settings.HOST_PRICES = {"cpu": 0.0, "gpu": price}
        worked(train_run, host, minutes=minutes)
    assert bill(train_run) == [
        ("3.00 EUR", "oak:gpu, 2 EUR an hour"),
        ("1.00 EUR", "elm:gpu, 4 EUR an hour"),
    ]


def test_the_wait_between_two_attempts_costs_nothing(train_run, settings):
    settings.HOST_PRICES, settings.PRICE_CURRENCY = {"cpu": 0.0, "gpu": 2.0}, "EUR"
    worked(train_run, "oak:gpu", minutes=30)
    long_ago = timezone.now() - timedelta(days=2)
    Run.objects.update(started_at=long_ago)
    train_run.attempts.update(started_at=long_ago, seen_at=long_ago + timedelta(minutes=30))
    worked(train_run, "oak:gpu", minutes=30)
    assert [amount for amount, _ in bill(train_run)] == ["2.00 EUR"]


def test_a_host_without_a_price_is_named_rather_than_counted_as_nothing(
    client, viewer, train_run, settings
):
    settings.HOST_PRICES = {"cpu": 0.0, "gpu": 0.0}
    worked(train_run, "ash:gpu", minutes=30)
    assert (bill(train_run), unpriced_hosts(train_run)) == ([], ["ash:gpu"])
    settings.HOST_PRICES, settings.PRICE_CURRENCY = {"cpu": 0.0, "gpu": 2.0}, "EUR"
    assert bill(train_run) == []
    worked(train_run, "oak:gpu", minutes=30)
    client.force_login(viewer)
    page = client.get(reverse("run", args=["orchard", train_run.pk])).content.decode()
    facts = " ".join(page.partition('class="muted facts"')[2].partition("</p>")[0].split())
    assert "1.00 EUR</span> for oak:gpu, 2 EUR an hour · no price known for" in facts
    assert facts.endswith("ash:gpu")


def test_a_price_of_nonsense_is_no_price(train_run, settings):
    settings.HOST_PRICES = {"cpu": 0.0, "gpu": -2.0}
    worked(train_run, "ash:gpu", minutes=30)
    assert unpriced_hosts(train_run) == ["ash:gpu"]


def test_tokens_cost_what_the_model_said_when_the_run_began(train_run):
    used = {"prompt": 2_000_000, "completion": 1_000_000}
    Run.objects.update(result={"usage": used})
    train_run.student.prices = {"prompt": 90, "completion": 90, "currency": "EUR"}
    train_run.student.save()
    assert bill(train_run) == [], "it had no price then"
    prices = {"prompt": 0.5, "completion": 3, "currency": "USD"}
    Run.objects.update(result={"usage": used, "prices": prices})
    assert bill(train_run) == [("4.00 USD", "3,000,000 tokens of sapling")]


@pytest.mark.django_db(transaction=True)
def test_a_run_and_its_second_attempt_leave_what_they_took(train_run, settings):
    settings.HOST_PRICES, settings.PRICE_CURRENCY = {"cpu": 0.0, "gpu": 2.0}, "EUR"
    for options in (["--die-at", "7"], ["--die-at", "7"]):
        supervise(train_run.pk, "oak:gpu/1/a", command=[*FAKE, *options], poll=0.05, enqueue=False)
    first, second = train_run.attempts.all()
    assert (first.number, first.host, first.price, first.currency) == (1, "oak:gpu", 2.0, "EUR")
    assert second.number == 2
    assert first.started_at < first.seen_at <= second.started_at < second.seen_at


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ends", [[], ["--die-at", "30"]], ids=["done", "killed"])
def test_an_attempt_is_billed_to_its_end(train_run, ends):
    """Not to the last renewal of its lease, seconds before."""
    options = ["--steps", "31", "--pause", "0.05", *ends]
    supervise(train_run.pk, "oak:gpu/1/a", command=[*FAKE, *options], poll=0.05, enqueue=False)
    assert train_run.attempts.get().took >= timedelta(seconds=29 * 0.05)
