"""Adjudication: the groups that people disagree on, one after another, with all that was said."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from curation.access import get_project_for
from curation.forms.judgement import Judgement, storable
from curation.models import Adjudication, Asked, Project, Queue, QueueItem, Rationale
from curation.requests import Request
from curation.review import adjudication
from curation.review.adjudication import Voice

LISTED = 100


@dataclass(frozen=True)
class Said:
    """What one voice says of one rationale: a rank, a decision, neither or both."""

    rank: int | None
    decision: str


@dataclass(frozen=True)
class Card:
    """One rationale, everybody's word on it, and the decision as it stands in the form."""

    letter: str
    rationale: Rationale
    said: list[Said]
    rank: int | str
    decision: str


def adjudication_list(request: Request, slug: str, pk: int) -> HttpResponse:
    project, queue = _adjudicated(request, slug, pk)
    waiting = adjudication.waiting(queue)
    context = {
        "project": project,
        "section": "queues",
        "queue": queue,
        "count": waiting.count(),
        "waiting": waiting.select_related("question")[:LISTED],
        "decided": adjudication.decided(queue)[:LISTED],
    }
    return render(request, "curation/adjudication_list.html", context)


def adjudicate(request: Request, slug: str, pk: int, question_pk: int) -> HttpResponse:
    """One group: GET shows it, POST decides it and goes on to the next."""
    project, queue = _adjudicated(request, slug, pk)
    items = queue.items.filter(is_gold=False).select_related("question", "queue__project")
    item = get_object_or_404(items, question=question_pk)
    live = Adjudication.objects.live().filter(question=item.question_id).first()
    if request.method != "POST":
        return _show(request, project, item, live, _so_far(request, item, live))
    order = adjudication.shown(item)
    judgement = Judgement.of(request.POST, order)
    try:
        judgement.check()
        adjudication.decide(
            item,
            request.user,
            judgement.ranks,
            {key: verdict.decision for key, verdict in judgement.verdicts.items()},
            shown_order=order,
            note=storable(request.POST.get("note", "")),
            seen=_number(request.POST.get("seen", "")),
        )
    except ValidationError as error:
        return _show(request, project, item, live, judgement, error.messages)
    messages.success(request, "Decided. What everybody said before stays in the record.")
    return _onward(project, queue)


def _adjudicated(request: Request, slug: str, pk: int) -> tuple[Project, Queue]:
    project = get_project_for(request.user, slug, "curation.annotate")
    queue = get_object_or_404(project.queues, pk=pk)
    queue.project = project
    if not adjudication.may_adjudicate(queue, request.user):
        raise PermissionDenied("This queue does not name you as an adjudicator.")
    return project, queue


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _onward(project: Project, queue: Queue) -> HttpResponse:
    """The most disputed group that is left, or the list where none is."""
    following = adjudication.waiting(queue).values_list("question", flat=True).first()
    if following is None:
        return redirect("adjudication", project.slug, queue.pk)
    return redirect("adjudicate", project.slug, queue.pk, following)


def _so_far(request: Request, item: QueueItem, live: Adjudication | None) -> Judgement:
    """The decision that holds, or what the voice named in `?from=` says."""
    chosen = _number(request.GET.get("from", ""))
    for voice in adjudication.voices(item):
        if voice.assignment == chosen:
            return _as_judgement(voice.ranks, voice.decisions)
    if live is None:
        return Judgement()
    settled = adjudication.settled([item.question_id])[item.question_id]
    return _as_judgement(settled.ranks, settled.decisions)


def _as_judgement(ranks: dict[int, int], decisions: dict[int, str]) -> Judgement:
    said = {str(pk): {"decision": d, "reasons": [], "note": ""} for pk, d in decisions.items()}
    return Judgement.from_draft(
        {"ranks": {str(pk): rank for pk, rank in ranks.items()}, "decisions": said}
    )


def _show(
    request: Request,
    project: Project,
    item: QueueItem,
    live: Adjudication | None,
    judgement: Judgement,
    refused: list[str] | None = None,
) -> HttpResponse:
    """The group with everybody's word. A refusal answers 422 and keeps what was typed."""
    heard = adjudication.voices(item)
    context = {
        "project": project,
        "section": "queues",
        "queue": item.queue,
        "item": item,
        "question": item.question,
        "live": live,
        "voices": heard,
        "cards": _cards(item, heard, judgement),
        "hide_names": item.queue.adjudicate_blind or request.GET.get("names") == "hidden",
        "asks_rank": Asked.RANK in item.queue.asked,
        "note": request.POST.get("note", live.note if live else ""),
        "refused": refused or [],
        "left": adjudication.waiting(item.queue).count(),
    }
    status = 422 if refused else 200
    return render(request, "curation/adjudicate.html", context, status=status)


def _cards(item: QueueItem, heard: list[Voice], judgement: Judgement) -> list[Card]:
    order = adjudication.shown(item)
    found = Rationale.objects.select_related("author_model", "author_user").in_bulk(order)
    cards: list[Card] = []
    for pk in (pk for pk in order if pk in found):
        verdict = judgement.verdicts.get(pk)
        said = [Said(voice.ranks.get(pk), voice.decisions.get(pk, "")) for voice in heard]
        decision = verdict.decision if verdict else ""
        letter = _letter(len(cards))
        cards.append(Card(letter, found[pk], said, judgement.ranks.get(pk, ""), decision))
    return cards


def _letter(number: int) -> str:
    """A … Z, then AA …"""
    before, rest = divmod(number, 26)
    return (_letter(before - 1) if before else "") + chr(ord("A") + rest)
