"""One rationale: to read, to compare, to correct, to comment on."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from curation.access import get_project_for
from curation.browsing.dossier import is_blind_for
from curation.models import Comment, Project, Rationale
from curation.requests import Request, whole_number
from curation.review import commenting
from curation.review.correcting import correct, versions
from curation.review.judging import review
from curation.text.diffing import compare, counterpart
from curation.text.reading import FIRST, MORE, part


def rationale_page(request: Request, slug: str, pk: int) -> HttpResponse:
    """The whole text, part by part (`?after=40`), with what it corrects and what corrects it."""
    project, rationale = _rationale(request, slug, pk)
    blind = is_blind_for(rationale.question, request.user)
    after = whole_number(request.GET.get("after")) or 0
    room = MORE if after else FIRST * 2
    context = _page(request, project, rationale, blind) | {
        "part": part(
            rationale.thought, rationale.question.text, after=after, room=room, hints=not blind
        ),
        "after": after,
    }
    if request.htmx:
        return render(request, "curation/review_steps.html", context)
    return render(request, "curation/review_rationale.html", context | _family(rationale))


def rationale_correct(request: Request, slug: str, pk: int) -> HttpResponse:
    """GET: the place to write the correction. POST: a new rationale that revises this one."""
    project, rationale = _rationale(request, slug, pk, "curation.annotate")
    if request.method != "POST":
        return _editor(request, project, rationale)
    thought, answer = request.POST.get("thought", ""), request.POST.get("answer", "")
    try:
        written = correct(rationale, request.user, thought, answer)
    except ValidationError as error:
        typed = {"thought": thought, "answer": answer, "refused": error.messages}
        return _editor(request, project, rationale, typed)
    if request.POST.get("accept"):
        review(written, request.user, "accept")
    if request.htmx:
        return render(
            request, "curation/review_corrected.html", _corrected(project, rationale, written)
        )
    messages.success(request, f"Saved as rationale {written.pk}, a correction of rationale {pk}.")
    return redirect("rationale", project.slug, written.pk)


def diff(request: Request, slug: str, pk: int) -> HttpResponse:
    """Two rationales of one question side by side: `?a=12&b=15`; without `a`, see `counterpart`."""
    project = get_project_for(request.user, slug)
    question = get_object_or_404(project.questions, pk=pk)
    question.project = project
    blind = is_blind_for(question, request.user)
    found = question.rationales.select_related("author_model", "author_user").in_bulk()
    right = found.get(whole_number(request.GET.get("b")) or 0)
    left = found.get(whole_number(request.GET.get("a")) or 0)
    left = left or (counterpart(right, blind) if right else None)
    if left is None or right is None:
        raise Http404("Choose two rationales of this question to compare.")
    context = {
        "project": project,
        "section": "questions",
        "question": question,
        "left": _side(left, blind),
        "right": _side(right, blind),
        "others": sorted(found),
        "difference": compare(left.thought, right.thought),
    }
    template = "curation/review_diff.html"
    return render(request, f"{template}#difference" if request.htmx else template, context)


@require_POST
def comment(request: Request, slug: str, pk: int) -> HttpResponse:
    project, rationale = _rationale(request, slug, pk, "curation.annotate")
    try:
        commenting.comment(rationale, request.user, request.POST.get("text", ""))
    except ValidationError as error:
        messages.error(request, error.messages[0])
    return _back(request, project, rationale)


@require_POST
def comment_withdraw(request: Request, slug: str, pk: int) -> HttpResponse:
    """One's own comment; other people's are not to be withdrawn."""
    project = get_project_for(request.user, slug, "curation.annotate")
    mine = Comment.objects.filter(by=request.user, rationale__question__project=project)
    found = get_object_or_404(mine.select_related("rationale"), pk=pk)
    commenting.withdraw(found)
    return _back(request, project, found.rationale)


def _rationale(
    request: Request, slug: str, pk: int, permission: str = "curation.view_project"
) -> tuple[Project, Rationale]:
    project = get_project_for(request.user, slug, permission)
    here = Rationale.objects.filter(question__project=project)
    here = here.select_related("question", "author_model", "author_user")
    rationale = get_object_or_404(here, pk=pk)
    rationale.question.project = project
    return project, rationale


def _page(request: Request, project: Project, rationale: Rationale, blind: bool) -> dict[str, Any]:
    comments = commenting.comments_on(rationale.question, request.user, blind)
    return {
        "project": project,
        "section": "questions",
        "question": rationale.question,
        "rationale": rationale,
        "pk": rationale.pk,
        "blind": blind,
        "comments": comments.get(rationale.pk, []),
    }


def _family(rationale: Rationale) -> dict[str, Any]:
    """Each version beside the one it revises."""
    family = versions(rationale)
    by_pk = {one.pk: one for one in family}
    pairs = [
        (one, by_pk.get(one.revises_id or 0), one.pk == rationale.pk) for one in reversed(family)
    ]
    before = by_pk.get(rationale.revises_id or 0)
    found: dict[str, Any] = {"family": pairs if len(pairs) > 1 else [], "before": before}
    return found | (_revision(before, rationale) if before else {})


def _revision(before: Rationale, after: Rationale) -> dict[str, Any]:
    return {
        "left": {"name": f"Rationale {before.pk}", "answer": before.answer},
        "right": {"name": f"Rationale {after.pk}", "answer": after.answer},
        "difference": compare(before.thought, after.thought),
    }


def _side(rationale: Rationale, blind: bool) -> dict[str, Any]:
    name = f"Rationale {rationale.pk}"
    return {
        "pk": rationale.pk,
        "name": name if blind else f"{name}, {rationale.role}: {rationale.author}",
        "answer": rationale.answer,
    }


def _editor(
    request: Request, project: Project, rationale: Rationale, typed: dict[str, Any] | None = None
) -> HttpResponse:
    written = {"thought": rationale.thought, "answer": rationale.answer, "refused": []}
    blind = is_blind_for(rationale.question, request.user)
    context = _page(request, project, rationale, blind) | written | (typed or {})
    template = "curation/review_correct.html"
    template = f"{template}#editor" if request.htmx else template
    return render(request, template, context, status=422 if context["refused"] else 200)


def _corrected(project: Project, original: Rationale, written: Rationale) -> dict[str, Any]:
    found = _revision(original, written)
    return found | {"project": project, "question": written.question, "written": written}


def _back(request: Request, project: Project, rationale: Rationale) -> HttpResponse:
    """To the page that the form stands on."""
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()})
    if not (safe and back.startswith("/") and len(back) < 500):
        back = reverse("rationale", args=[project.slug, rationale.pk])
    return HttpResponseRedirect(f"{back}#comments-{rationale.pk}")
