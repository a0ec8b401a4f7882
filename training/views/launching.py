"""Before a run: the form, presets, and the rehearsal."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from curation.access import get_project_for
from curation.models import Project
from curation.requests import Request, whole_number
from training.forms.runs import FRAME, KindForm, LaunchForm, shown_config, warnings_about
from training.models import Preset, Rehearsal, RehearsalStatus, RunKind
from training.runs import rehearsing
from training.runs.launch import launch
from training.runs.plans import config_class
from training.runs.presets import save_settings_of
from training.runs.workers import anyone_alive
from training.views.runs import run_of

RESEARCH = "curation.research"


def run_new(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug, RESEARCH)
    form, start = asked_form(request, project)
    if form.is_bound and form.is_valid():
        run = form.launch(by=request.user, parent=start["source"])
        if run is not None:
            for words in warnings_about(config_class(run.kind, run.method), run.config):
                messages.warning(request, words)
            return redirect(run)
    return form_page(request, project, form, start)


@require_POST
def run_rehearse(request: Request, slug: str) -> HttpResponse:
    """Rehearse what the form says; with htmx the rehearsal appears below it."""
    project = get_project_for(request.user, slug, RESEARCH)
    form, start = asked_form(request, project)
    measured = request.POST.get("measured") == "yes"
    if form.kind == RunKind.TRAIN and form.is_valid():
        rehearsal = form.rehearse(request.user, measured)
        if rehearsal is not None:
            if request.htmx:
                return rehearsal_answer(request, project, rehearsal)
            return redirect(rehearsal)
    answer = form_page(request, project, form, start)
    if request.htmx:
        answer.status_code = 200  # htmx leaves a refusal unshown
        answer["HX-Retarget"], answer["HX-Reswap"] = "#run-form", "outerHTML"
    return answer


@require_POST
def preset_save(request: Request, slug: str) -> HttpResponse:
    """Keep what the form says under a name."""
    project = get_project_for(request.user, slug, RESEARCH)
    form, start = asked_form(request, project, without_frame=True)
    if form.is_valid():
        preset = form.keep(request.POST.get("preset_name", ""), request.user)
        if preset is not None:
            messages.success(request, f"The settings are kept as the preset {preset}.")
            return redirect(f"{reverse('run-new', args=[slug])}?preset={preset.pk}")
    return form_page(request, project, form, start)


def asked_form(
    request: Request, project: Project, without_frame: bool = False
) -> tuple[LaunchForm, dict[str, Any]]:
    """The form as it was sent, or as it begins; and what it began with."""
    start = beginning(request, project)
    kinds = KindForm(first_choice(request, start))
    kind, method = kinds.chosen()
    data = request.POST if request.method == "POST" else None
    form = LaunchForm(project, kind, method, data, initial=first_values(request, start, kind))
    if without_frame:
        for name in FRAME:
            if name in form.fields:
                form.fields[name].required = False
    return form, {**start, "kinds": kinds}


def beginning(request: Request, project: Project) -> dict[str, Any]:
    """What the form may begin with: a run to clone, a preset, a rehearsal."""
    named = {
        "source": ("from", project.runs),
        "preset": ("preset", project.presets),
        "rehearsed": ("rehearsal", project.rehearsals),
    }
    found: dict[str, Any] = {}
    for name, (parameter, rows) in named.items():
        pk = whole_number(request.GET.get(parameter))
        found[name] = None if pk is None else rows.filter(pk=pk).first()
    return found


def first_choice(request: Request, start: dict[str, Any]) -> dict[str, str]:
    given = request.POST if request.method == "POST" else request.GET
    first = start["source"] or start["preset"]
    if "kind" not in given and first is not None:
        return {"kind": first.kind, "method": first.method}
    if "kind" not in given and start["rehearsed"]:
        return {"kind": RunKind.TRAIN, "method": start["rehearsed"].method}
    return {"kind": given.get("kind", RunKind.TRAIN), "method": given.get("method", "")}


def first_values(request: Request, start: dict[str, Any], kind: str) -> dict[str, Any]:
    """What the form shows at first: a clone or rehearsal names all, a preset what was chosen in
    it, and the address any field."""
    values: dict[str, Any] = {}
    source, preset, rehearsed = start["source"], start["preset"], start["rehearsed"]
    if source is not None and source.kind == kind:
        values = shown_config(kind, source.method, source.config)
        values |= {name: getattr(source, name) for name in FRAME}
    if rehearsed is not None and kind == RunKind.TRAIN:
        values = shown_config(kind, rehearsed.method, rehearsed.config)
        values |= {name: getattr(rehearsed, name) for name in FRAME}
    if preset is not None and preset.kind == kind:
        values |= shown_config(kind, preset.method, preset.config)
    return values | {name: value for name, value in request.GET.items() if value}


def form_page(
    request: Request, project: Project, form: LaunchForm, start: dict[str, Any]
) -> HttpResponse:
    """The whole page, or with htmx the settings alone."""
    context = {
        **start,
        "project": project,
        "section": "runs",
        "form": form,
        "kind": form.kind,
        "method": form.method,
        "presets": project.presets.all(),
        "preset_name": request.POST.get("preset_name", ""),
    }
    part = "#settings" if request.htmx else ""
    status = 422 if form.is_bound else 200
    return render(request, f"training/run_new.html{part}", context, status=status)


# --- Presets --------------------------------------------------------------------------------------


def preset_list(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug)
    presets = project.presets.select_related("created_by")
    context = {"project": project, "section": "runs", "presets": presets}
    return render(request, "training/preset_list.html", context)


@require_POST
def preset_of_run(request: Request, slug: str, pk: int) -> HttpResponse:
    """Keep the settings of a run under a name."""
    project = get_project_for(request.user, slug, RESEARCH)
    run = run_of(project, pk)
    try:
        preset = save_settings_of(run, request.POST.get("preset_name", ""), request.user)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, f"The settings are kept as the preset {preset}.")
    return redirect(run)


@require_POST
def preset_remove(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug, RESEARCH)
    preset = get_object_or_404(Preset, project=project, pk=pk)
    preset.delete()
    messages.success(request, f"The preset {preset} is gone. Runs that began with it stay.")
    return redirect("presets", slug)


# --- Rehearsals -----------------------------------------------------------------------------------


def rehearsal_page(request: Request, slug: str, pk: int) -> HttpResponse:
    project = get_project_for(request.user, slug)
    return rehearsal_answer(request, project, rehearsal_of(project, pk))


@require_POST
def rehearsal_launch(request: Request, slug: str, pk: int) -> HttpResponse:
    """Launch exactly what was rehearsed."""
    project = get_project_for(request.user, slug, RESEARCH)
    asked = rehearsal_of(project, pk)
    frame = {name: getattr(asked, name) for name in FRAME}
    try:
        run = launch(
            project,
            RunKind.TRAIN,
            method=asked.method,
            config=asked.config,
            by=request.user,
            **frame,
        )
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect(asked)
    return redirect(run)


def rehearsal_of(project: Project, pk: int) -> Rehearsal:
    found = project.rehearsals.select_related("dataset", "student", "asked_by")
    rehearsal: Rehearsal = get_object_or_404(found, pk=pk)
    rehearsal.project = project
    return rehearsal


def rehearsal_answer(request: Request, project: Project, asked: Rehearsal) -> HttpResponse:
    waits = asked.status == RehearsalStatus.QUEUED
    context = {
        "project": project,
        "section": "runs",
        "rehearsal": asked,
        "rows": rehearsing.shown_rows(asked),
        "memory": rehearsing.memory_rows(asked),
        "warnings": warnings_about(config_class(RunKind.TRAIN, asked.method), asked.config),
        "waited": rehearsing.waited(asked),
        "nobody": waits and not anyone_alive(asked.queue),
        "can_research": project.my_role in ("owner", "researcher"),  # type: ignore[attr-defined]
    }
    part = "#found" if request.htmx else ""
    return render(request, f"training/rehearsal.html{part}", context)
