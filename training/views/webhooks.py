"""Notices: what a member is mailed, and the webhooks that owners manage."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from curation.access import get_project_for
from curation.models import Project
from curation.requests import Request
from training.forms.webhooks import SubscriptionForm, WebhookForm
from training.models import Delivery, Subscription, Webhook
from training.models.webhook import new_salt
from training.webhooks import deliver_again, mail_is_set, ping, secret_of

SECTION = {"section": "notices"}
FRESH = "fresh webhook secret"  # in the session: the webhook whose secret is to be shown once


def notices(request: Request, slug: str) -> HttpResponse:
    """What this member is told of by e-mail; everybody decides for themselves."""
    project = get_project_for(request.user, slug)
    mine = Subscription.objects.filter(project=project, user=request.user).first()
    mine = mine or Subscription(project=project, user=request.user)
    form = SubscriptionForm(request.POST if request.method == "POST" else None, instance=mine)
    if form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("notices", slug)
    context = {"project": project, "form": form, "mail_is_set": mail_is_set(), **SECTION}
    context["missed"] = mine.deliveries.exclude(given_up_at=None)[:5] if mine.pk else []
    status = 422 if form.is_bound else 200
    return render(request, "training/webhook_notices.html", context, status=status)


def webhooks(request: Request, slug: str) -> HttpResponse:
    """The project's webhooks, and a form for one more."""
    project = get_project_for(request.user, slug, "curation.own")
    form = WebhookForm(request.POST or None, project=project)
    if form.is_valid():
        form.instance.created_by = request.user
        webhook = form.save()
        request.session[FRESH] = webhook.pk
        return redirect(webhook)
    arrived, waiting = Q(deliveries__delivered_at__isnull=False), _waiting()
    counts = {
        "arrived": Count("deliveries", arrived),
        "waiting": Count("deliveries", waiting),
        "lost": Count("deliveries", Q(deliveries__given_up_at__isnull=False)),
    }
    found = list(project.webhooks.annotate(**counts))
    context = {"project": project, "form": form, "webhooks": found, **SECTION}
    status = 422 if request.method == "POST" else 200
    return render(request, "training/webhook_list.html", context, status=status)


def _waiting() -> Q:
    return Q(deliveries__isnull=False, deliveries__delivered_at=None, deliveries__given_up_at=None)


def webhook_page(request: Request, slug: str, pk: int) -> HttpResponse:
    """One webhook: where it leads, what it is told of, and every delivery."""
    project, webhook = _webhook(request, slug, pk)
    form = WebhookForm(request.POST or None, instance=webhook, project=project)
    if form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect(webhook)
    fresh = request.session.pop(FRESH, None) == webhook.pk if request.method == "GET" else False
    deliveries = Paginator(webhook.deliveries.all(), 50).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "webhook": webhook,
        "address": webhook.url if form.is_bound is False else _stored(webhook),
        "form": form,
        "secret": secret_of(webhook) if fresh else "",
        "page": deliveries,
        **SECTION,
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "training/webhook.html", context, status=status)


def _stored(webhook: Webhook) -> str:
    """Where it leads by the record, while a form holds something else."""
    return Webhook.objects.values_list("url", flat=True).get(pk=webhook.pk)


@require_POST
def webhook_secret(request: Request, slug: str, pk: int) -> HttpResponse:
    """Another secret; the old one is worth nothing from now on."""
    _, webhook = _webhook(request, slug, pk)
    webhook.salt = new_salt()
    webhook.save(update_fields=["salt"])
    request.session[FRESH] = webhook.pk
    return redirect(webhook)


@require_POST
def webhook_switch(request: Request, slug: str, pk: int) -> HttpResponse:
    """On or off; what was to be delivered waits for at most a day."""
    _, webhook = _webhook(request, slug, pk)
    webhook.is_on = not webhook.is_on
    webhook.save(update_fields=["is_on"])
    return redirect(webhook)


@require_POST
def webhook_test(request: Request, slug: str, pk: int) -> HttpResponse:
    """A test delivery."""
    _, webhook = _webhook(request, slug, pk)
    ping(webhook)
    messages.success(request, "A test is on its way; reload in a moment to see how it went.")
    return redirect(webhook)


@require_POST
def webhook_remove(request: Request, slug: str, pk: int) -> HttpResponse:
    _, webhook = _webhook(request, slug, pk)
    webhook.delete()
    messages.success(request, f"{webhook.url} is told nothing any more.")
    return redirect("webhooks", slug)


@require_POST
def delivery_again(request: Request, slug: str, pk: int) -> HttpResponse:
    """Deliver once more what arrived or was given up."""
    project = get_project_for(request.user, slug, "curation.own")
    here = Delivery.objects.filter(webhook__project=project).select_related("webhook")
    delivery = get_object_or_404(here, pk=pk)
    assert delivery.webhook is not None
    delivery.webhook.project = project
    if not deliver_again(delivery):
        messages.info(request, "It waits to be tried already.")
    return redirect(delivery.webhook)


def _webhook(request: Request, slug: str, pk: int) -> tuple[Project, Webhook]:
    project = get_project_for(request.user, slug, "curation.own")
    webhook = get_object_or_404(project.webhooks, pk=pk)
    webhook.project = project
    return project, webhook
