"""Queues: what is to be judged, by how many people, and how far it is."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from curation.access import get_project_for
from curation.forms.judgement import storable
from curation.forms.queue import QueueForm, QueueSettingsForm, name_people
from curation.models import Asked, Measure, Project, Question, Queue, QueueItem, Rationale, Window
from curation.queues import gold, leases, priorities
from curation.queues.contents import Filter, count_matches, fill
from curation.queues.leases import expire
from curation.queues.progress import people_in, queues_of
from curation.requests import Request, repeatable
from curation.review.adjudication import may_adjudicate, waiting
from curation.text import reading
from curation.wording import counted


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
        "asked": [Asked(one).label.lower() for one in queue.asked],
        "wanted": max(queue.judgements_wanted, queue.submitted),
        "invited": leases.may_judge(queue, request.user),
        "may_adjudicate": may_adjudicate(queue, request.user),
        "to_decide": waiting(queue).count(),
        "is_computed": queue.ordering in priorities.COMPUTED,
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


def queue_settings(request: Request, slug: str, pk: int) -> HttpResponse:
    """What may be changed while people work, and who they are."""
    queue = _researched(request, slug, pk)
    form = QueueSettingsForm(request.POST or None, instance=queue)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.save()
        messages.success(request, "The queue's settings are stored.")
        return redirect(queue)
    context = {"project": queue.project, "section": "queues", "queue": queue, "form": form}
    return render(request, "curation/queue_settings.html", context)


@require_POST
def queue_open(request: Request, slug: str, pk: int) -> HttpResponse:
    """Open or close: a closed queue hands out nothing new; what is held may be finished."""
    queue = _researched(request, slug, pk)
    is_open = request.POST.get("open") == "yes"
    if Queue.objects.filter(pk=queue.pk, is_open=not is_open).update(is_open=is_open):
        messages.success(request, "The queue is open." if is_open else "The queue is closed.")
    if not is_open:
        leases.release_ahead(queue)
    return redirect(queue)


@require_POST
def queue_fill(request: Request, slug: str, pk: int) -> HttpResponse:
    """Take in the questions that match by now and are not in the queue yet."""
    queue = _researched(request, slug, pk)
    added = fill(queue)
    told = f"{counted(added, 'question')} added." if added else "No new question matches."
    messages.info(request, told)
    return redirect(queue)


@require_POST
def queue_refresh(request: Request, slug: str, pk: int) -> HttpResponse:
    """Compute the order anew, from what is known by now."""
    queue = _researched(request, slug, pk)
    if queue.ordering not in priorities.COMPUTED:
        messages.info(request, "The order of this queue is not a computed one.")
    else:
        moved = priorities.refresh(queue)
        messages.info(request, f"The order is up to date; {counted(moved, 'question')} moved.")
    return redirect(queue)


def queue_gold(request: Request, slug: str, pk: int) -> HttpResponse:
    """The gold items: GET lists them, POST adds one question, or all that are adjudicated."""
    queue = _researched(request, slug, pk)
    refused: list[str] = []
    if request.method == "POST":
        try:
            messages.success(request, _add_gold(request, queue))
            return redirect("queue-gold", slug, pk)
        except ValidationError as error:
            refused = error.messages
    context = {
        "project": queue.project,
        "section": "queues",
        "queue": queue,
        "refused": refused,
        "typed": request.POST.get("question", ""),
        "items": queue.items.filter(is_gold=True).select_related("question", "gold"),
        "accuracy": queue.figures.filter(
            measure=Measure.GOLD, window=Window.ALL, person=None
        ).first(),
    }
    return render(request, "curation/queue_gold.html", context, status=422 if refused else 200)


@require_POST
def queue_gold_remove(request: Request, slug: str, pk: int, item_pk: int) -> HttpResponse:
    queue = _researched(request, slug, pk)
    gold.unmake_gold(get_object_or_404(QueueItem, pk=item_pk, queue=queue))
    messages.info(request, "It is an item like any other now.")
    return redirect("queue-gold", slug, pk)


@require_POST
@repeatable
def review_ahead(request: Request, slug: str, pk: int) -> HttpResponse:
    """Keep the next item ready for this person, its texts rendered; the review page asks for it."""
    project = get_project_for(request.user, slug, "curation.annotate")
    queue = get_object_or_404(project.queues, pk=pk)
    ready = leases.claim_ahead(queue, request.user)
    shown = Rationale.objects.filter(pk__in=ready.shown_order if ready else [])
    for thought in shown.values_list("thought", flat=True):
        reading.part(thought, hints=False)
    return HttpResponse(status=204)


def _add_gold(request: Request, queue: Queue) -> str:
    """What was done, in a sentence. Raises ValidationError with one where it cannot be done."""
    if "decided" in request.POST:
        made = gold.gold_of_decisions(queue, request.user)
        one, several = "question became a gold item", "questions became gold items"
        return f"{counted(made, f'adjudicated {one}', f'adjudicated {several}')}."
    question = _named_question(queue.project, storable(request.POST.get("question", "")))
    gold.make_gold(queue, question, gold.known_by(question, request.user), request.user)
    return f"Question {question.pk} is a gold item now."


def _named_question(project: Project, name: str) -> Question:
    """By its number or by the name that its source gave it."""
    found = project.questions.filter(external_id=name).first()
    if found is None and name.isdecimal() and len(name) < 19:
        found = project.questions.filter(pk=int(name)).first()
    if found is None:
        raise ValidationError(
            f"This project has no question “{name[:60]}”. Give the number from a question's "
            "address, or its id in the file it was imported from."
        )
    return found


def _researched(request: Request, slug: str, pk: int) -> Queue:
    project = get_project_for(request.user, slug, "curation.research")
    queue = get_object_or_404(project.queues, pk=pk)
    queue.project = project
    return queue


def _made(form: QueueForm, request: Request) -> Queue:
    with transaction.atomic():
        queue = form.save(commit=False)
        queue.filter, queue.created_by = form.chosen().stored(), request.user
        queue.save()
        name_people(queue, [(user, True, False) for user in form.cleaned_data["people"]])
        added = fill(queue)
    messages.success(request, f"The queue holds {counted(added, 'question')}.")
    return queue


def _matches(project: Project, form: QueueForm) -> dict[str, Any]:
    """The count for a bound form, or for the form as it first appears."""
    if not form.is_bound:
        return {"matches": count_matches(project, Filter())}
    form.is_valid()
    return {"matches": count_matches(project, form.chosen())}
