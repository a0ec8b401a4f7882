"""Queues: what is to be judged, by how many people, and how far it is."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from curation.access import get_project_for
from curation.forms.queue import QueueForm
from curation.leases import expire
from curation.models import Project, Queue
from curation.progress import complete_items, people_in, queues_of
from curation.queues import Filter, count_matches, fill
from curation.requests import Request


def queue_list(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug)
    context = {
        "project": project,
        "section": "queues",
        "queues": queues_of(project, request.user),
    }
    return render(request, "curation/queue_list.html", context)


def queue_page(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug)
    queue = get_object_or_404(project.queues, pk=pk)
    expire(queue)
    people = people_in(queue)
    if not request.user.has_perm("curation.research", project):
        people = [person for person in people if person.user == request.user]
    context = {
        "project": project,
        "section": "queues",
        "queue": queue,
        "chosen": Filter.of(queue.filter),
        "people": people,
        "complete": complete_items(queue),
        "wanted": max(queue.judgements_wanted, queue.submitted),
    }
    return render(request, "curation/queue.html", context)


def queue_new(request: Request, slug: str) -> HttpResponse:
    """The form; `preview` in the POST only counts what would match."""
    project = get_project_for(request.user, slug, "curation.research")
    form = QueueForm(request.POST or None, project=project)
    if request.method == "POST" and "preview" not in request.POST and form.is_valid():
        return redirect(_made(form, request))
    context = {"project": project, "section": "queues", "form": form} | _matches(project, form)
    return render(request, "curation/queue_form.html", context)


@require_POST
def queue_preview(request: Request, slug: str) -> HttpResponse:
    """How many questions match the fields as they stand."""
    project = get_project_for(request.user, slug, "curation.research")
    form = QueueForm(request.POST, project=project)
    context = {"project": project, "form": form} | _matches(project, form)
    return render(request, "curation/queue_form.html#matches", context)


@require_POST
def queue_open(request: Request, slug: str, pk: int) -> HttpResponse:
    """Open or close: a closed queue hands out nothing new; what is held may be finished."""
    queue = _researched(request, slug, pk)
    is_open = request.POST.get("open") == "yes"
    if Queue.objects.filter(pk=queue.pk, is_open=not is_open).update(is_open=is_open):
        messages.success(request, "The queue is open." if is_open else "The queue is closed.")
    return redirect(queue)


@require_POST
def queue_fill(request: Request, slug: str, pk: int) -> HttpResponse:
    """Take in the questions that match by now and are not in the queue yet."""
    queue = _researched(request, slug, pk)
    added = fill(queue)
    messages.info(request, f"{added:,} questions added." if added else "No new question matches.")
    return redirect(queue)


def _researched(request: Request, slug: str, pk: int) -> Queue:
    project = get_project_for(request.user, slug, "curation.research")
    return get_object_or_404(project.queues, pk=pk)


def _made(form: QueueForm, request: Request) -> Queue:
    with transaction.atomic():
        queue = form.save(commit=False)
        queue.filter, queue.created_by = form.chosen().stored(), request.user
        queue.save()
        added = fill(queue)
    messages.success(request, f"The queue holds {added:,} questions.")
    return queue


def _matches(project: Project, form: QueueForm) -> dict[str, int]:
    """The count for a bound form, or for the form as it first appears."""
    if not form.is_bound:
        return {"matches": count_matches(project, Filter())}
    form.is_valid()
    return {"matches": count_matches(project, form.chosen())}
