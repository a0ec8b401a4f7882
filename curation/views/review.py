"""The place annotators sit in: one group of rationales after another.

`review` hands out the next item; every item also has a page of its own, where its person can
come back to it. With htmx each POST answers with the next item, without it with a redirect.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Prefetch
from django.http import Http404, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from curation.access import get_project_for
from curation.forms.judgement import Judgement, storable
from curation.models import (
    Asked,
    Assignment,
    Project,
    Queue,
    Ranking,
    Rationale,
    Review,
)
from curation.queues import leases
from curation.queues.contents import Filter, latest_score
from curation.queues.progress import standing
from curation.requests import Request, repeatable, whole_number
from curation.review import judging, keys
from curation.review.correcting import corrections_by
from curation.review.judging import Result, Verdict
from curation.review.reasons import in_words, reasons_of
from curation.text.diffing import compare
from curation.text.reading import MORE, Part, part
from curation.text.stepping import StepsSaid

SKIP_REASONS = [
    "I cannot tell which is better",
    "The question is unclear",
    "The reference answer looks wrong",
    "None of these is usable",
]
REASON = 200  # characters: what `Assignment.skip_reason` holds
AFTER: dict[Result, tuple[int, str] | tuple[int, str, str]] = {
    Result.SUBMITTED: (messages.SUCCESS, "Submitted.", "onward"),
    Result.CHANGED: (messages.SUCCESS, "Your changed judgement replaces the earlier one."),
    Result.ALREADY: (messages.INFO, "That one was submitted already.", "onward"),
    Result.DIFFERS: (
        messages.WARNING,
        "That one was submitted already, from another window. What you sent now says something "
        "else; it is kept as a draft. Open it under “My last twenty” to compare and submit it.",
    ),
    Result.EXTRA: (
        messages.WARNING,
        "Your hold on that one had run out and somebody else judged it meanwhile. Yours is kept "
        "beside theirs, as one judgement more than was asked for.",
    ),
}


@dataclass(frozen=True)
class Card:
    """One rationale as the page shows it."""

    number: int
    rationale: Rationale
    correct: bool | None
    place: int | str
    verdict: Verdict | None
    part: Part
    steps: StepsSaid = field(default_factory=StepsSaid)
    corrections: list[Rationale] = field(default_factory=list)

    @property
    def unshown_labels(self) -> list[tuple[int, str]]:
        """Labels of steps that are folded away: they travel with the form all the same."""
        shown = {step.number for step in self.part.steps}
        return [(step, label) for step, label in self.steps.labels.items() if step not in shown]

    @property
    def given_reasons(self) -> list[str]:
        return [in_words(reason) for reason in self.verdict.reasons] if self.verdict else []


def review(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug, "curation.annotate")
    queue = get_object_or_404(project.queues, pk=pk)
    return _next(request, project, queue)


@repeatable
def review_item(request: Request, slug: str, pk: int, assignment_pk: int) -> HttpResponse:
    """One's own item, held, submitted or given back: GET shows it, POST submits it."""
    project, held = _own(request, slug, pk, assignment_pk)
    if request.method != "POST":
        leases.renew(held)
        held.refresh_from_db(fields=["status", "leased_until"])
        return _show(request, project, held, _so_far(held))
    judgement = Judgement.of(request.POST, held.shown_order)
    try:
        result = _submit(held, judgement)
    except ValidationError as error:
        return _show(request, project, held, judgement, error.messages)
    messages.add_message(request, *AFTER[result])
    return _onward(request, project, held.queue)


@require_POST
@repeatable
def review_skip(request: Request, slug: str, pk: int, assignment_pk: int) -> HttpResponse:
    project, held = _own(request, slug, pk, assignment_pk)
    reason = storable(request.POST.get("other", "")) or storable(request.POST.get("reason", ""))
    if not reason or len(reason) > REASON:
        refusal = ["Say why you skip it: choose a reason, or write one."]
        if reason:
            refusal = [
                f"The reason has {len(reason)} characters. Say it in {REASON} at most; the item is "
                "still yours."
            ]
        typed = Judgement.of(request.POST, held.shown_order)
        return _show(request, project, held, typed, refusal)
    if leases.skip(held, reason):
        messages.info(request, f"Skipped: {reason}. It is offered to others.")
    return _onward(request, project, held.queue)


@require_POST
@repeatable
def review_draft(request: Request, slug: str, pk: int, assignment_pk: int) -> HttpResponse:
    """Keep what is said so far and prolong the hold. The page asks for it after every change."""
    _, held = _own(request, slug, pk, assignment_pk)
    judgement = Judgement.of(request.POST, held.shown_order)
    if judgement.seen != judging.edition(held):
        return JsonResponse({"state": "submitted"})
    as_seen = Assignment.objects.filter(
        pk=held.pk, status=held.status, finished_at=held.finished_at
    )
    with transaction.atomic():
        held_still = as_seen.update(draft=judgement.draft()) and leases.renew(held)
    return JsonResponse({"state": "kept" if held_still else "lost"})


def review_more(request: Request, slug: str, pk: int, assignment_pk: int) -> HttpResponse:
    """The next steps of a long card: `?card=2&after=40`."""
    _, held = _own(request, slug, pk, assignment_pk)
    rationale = _card_of(held, request.GET.get("card"))
    chosen, told = Filter.of(held.queue.filter), _so_far(held).steps.get(rationale.pk, StepsSaid())
    context = {
        "project": held.queue.project,
        "queue": held.queue,
        "held": held,
        "number": whole_number(request.GET.get("card")),
        "pk": rationale.pk,
        "asks_steps": Asked.STEPS in held.queue.asked,
        "part": part(
            rationale.thought,
            held.question.text,
            after=whole_number(request.GET.get("after")) or 0,
            room=MORE,
            hints=chosen.step_hints,
            labels=dict(told.labels),
        ),
    }
    return render(request, "curation/review_steps.html", context)


def review_diff(request: Request, slug: str, pk: int, assignment_pk: int) -> HttpResponse:
    """Two cards of the group side by side: `?a=2&b=4`, by the numbers of the cards."""
    project, held = _own(request, slug, pk, assignment_pk)
    left, right = (_card_of(held, request.GET.get(name)) for name in "ab")
    names = [f"Rationale {whole_number(request.GET.get(name))}" for name in "ab"]
    context = {
        "project": project,
        "section": "review",
        "queue": held.queue,
        "question": held.question,
        "left": {"name": names[0], "answer": left.answer},
        "right": {"name": names[1], "answer": right.answer},
        "difference": compare(left.thought, right.thought),
    }
    template = "curation/review_diff.html"
    return render(request, f"{template}#difference" if request.htmx else template, context)


def review_mine(request: Request, slug: str, pk: int) -> HttpResponse:
    """The last twenty that this person finished, each to be opened again."""
    project = get_project_for(request.user, slug, "curation.annotate")
    queue = get_object_or_404(project.queues, pk=pk)
    done = queue.assignments.filter(user=request.user).exclude(finished_at=None)
    done = done.select_related("question").prefetch_related(
        Prefetch("rankings", Ranking.objects.live().prefetch_related("places")),
        Prefetch("reviews", Review.objects.live()),
    )
    context = {
        "project": project,
        "section": "review",
        "queue": queue,
        "rows": [_row(held) for held in done.order_by("-finished_at")[:20]],
    }
    return render(request, "curation/review_mine.html", context)


@require_POST
def review_layout(request: Request, slug: str) -> HttpResponse:
    """Remember whether this person likes the cards side by side or one below the other."""
    project = get_project_for(request.user, slug, "curation.annotate")
    layout = "stack" if request.POST.get("layout") == "stack" else "columns"
    request.user.preferences |= {"review_layout": layout}
    request.user.save(update_fields=["preferences"])
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()})
    return HttpResponseRedirect(back if safe else reverse("queues", args=[project.slug]))


def _own(request: Request, slug: str, pk: int, assignment_pk: int) -> tuple[Project, Assignment]:
    """The project, and the person's own assignment in it; other people's do not exist."""
    project = get_project_for(request.user, slug, "curation.annotate")
    mine = Assignment.objects.select_related("question", "queue__project", "item")
    return project, get_object_or_404(
        mine, pk=assignment_pk, queue=pk, queue__project=project, user=request.user
    )


def _card_of(held: Assignment, number: str | None) -> Rationale:
    """The rationale that was shown to this person under this number."""
    at = whole_number(number) or 0
    if not 1 <= at <= len(held.shown_order):
        raise Http404("There is no card of that number in this group.")
    return get_object_or_404(held.question.rationales, pk=held.shown_order[at - 1])


def _submit(held: Assignment, judgement: Judgement) -> Result:
    judgement.check()
    return judging.submit(
        held,
        judgement.ranks,
        judgement.verdicts,
        steps=judgement.steps,
        as_shown=judgement.as_shown,
        seconds=judgement.seconds,
        seen=judgement.seen,
    )


def _onward(request: Request, project: Project, queue: Queue) -> HttpResponse:
    """The next item: swapped in for htmx, by a redirect otherwise."""
    url = reverse("review", args=[project.slug, queue.pk])
    if not request.htmx:
        return redirect(url)
    response = _next(request, project, queue)
    response["HX-Replace-Url"] = url
    return response


def _next(request: Request, project: Project, queue: Queue) -> HttpResponse:
    held = leases.claim(queue, request.user)
    if held is not None:
        return _show(request, project, held, _so_far(held))
    context = {"project": project, "section": "review", "queue": queue}
    context |= {"standing": standing(queue, request.user)}
    return _render(request, context)


def _so_far(held: Assignment) -> Judgement:
    """The draft; without one, what was submitted."""
    if held.draft:
        return Judgement.from_draft(held.draft)
    ranks, verdicts = judging.said(held)
    steps = judging.said_of_steps(held) if Asked.STEPS in held.queue.asked else {}
    return Judgement(ranks, verdicts, steps=steps)


def _show(
    request: Request,
    project: Project,
    held: Assignment,
    judgement: Judgement,
    refused: Iterable[str] = (),
) -> HttpResponse:
    """The group at hand. A refusal answers 422 and keeps all that was typed."""
    queue = held.queue
    mine = queue.tallies.filter(user=request.user).values_list("submitted", flat=True)
    context: dict[str, Any] = {
        "project": project,
        "section": "review",
        "queue": queue,
        "held": held,
        "question": held.question,
        "cards": _cards(held, judgement),
        **_keys(request),
        "judgement": judgement,
        "edition": judging.edition(held),
        "refused": list(refused),
        "hints": Filter.of(queue.filter).hints,
        "asks_rank": Asked.RANK in queue.asked,
        "asks_accept": Asked.ACCEPT in queue.asked,
        "asks_steps": Asked.STEPS in queue.asked,
        "reasons": reasons_of(project),
        "skip_reasons": SKIP_REASONS,
        "layout": request.user.preferences.get("review_layout", "columns"),
        "mine": mine.first() or 0,
    }
    return _render(request, context, status=422 if context["refused"] else 200)


def _keys(request: Request) -> dict[str, Any]:
    """This person's keys: for the script, for the controls, and for the list of all of them."""
    own = keys.keys_of(request.user)
    printed = keys.spoken(own)
    return {
        "keys": json.dumps(own),
        "key": printed,
        "actions": [(action, printed[action.name]) for action in keys.ACTIONS],
    }


def _render(request: Request, context: dict[str, Any], status: int = 200) -> HttpResponse:
    template = "curation/review.html#work" if request.htmx else "curation/review.html"
    return render(request, template, context, status=status)


def _cards(held: Assignment, judgement: Judgement) -> list[Card]:
    """The rationales in the order this person was shown them first."""
    shown = Rationale.objects.filter(pk__in=held.shown_order)
    shown = shown.select_related("author_model", "author_user").defer(
        "prompt_sent", "token_ids", "token_logprobs"
    )
    found = shown.annotate(correct=latest_score("answer_correct")).in_bulk()
    corrections = corrections_by(held.user, found)
    return [
        _card(number, found[pk], held, judgement, corrections.get(pk, []))
        for number, pk in enumerate(held.shown_order, 1)
        if pk in found
    ]


def _card(
    number: int,
    rationale: Rationale,
    held: Assignment,
    judgement: Judgement,
    corrections: list[Rationale],
) -> Card:
    correct: float | None = rationale.correct  # type: ignore[attr-defined]
    told = judgement.steps.get(rationale.pk, StepsSaid())
    hints = Filter.of(held.queue.filter).step_hints
    return Card(
        number,
        rationale,
        None if correct is None else correct == 1,
        judgement.ranks.get(rationale.pk, ""),
        judgement.verdicts.get(rationale.pk),
        part(rationale.thought, held.question.text, hints=hints, labels=dict(told.labels)),
        told,
        corrections,
    )


def _row(held: Assignment) -> dict[str, Any]:
    """One line of "my last twenty": the order in the card numbers of that page, as "3 > 1 = 4"."""
    number = {pk: n for n, pk in enumerate(held.shown_order, 1)}
    order, last = "", 0
    for place in [place for ranking in held.rankings.all() for place in ranking.places.all()]:
        sign = "" if not order else " = " if place.rank == last else " > "
        order, last = f"{order}{sign}{number.get(place.rationale_id, '?')}", place.rank
    decisions = [review.decision for review in held.reviews.all()]
    return {
        "held": held,
        "order": order,
        "accepted": decisions.count("accept"),
        "rejected": decisions.count("reject"),
    }
