"""Presets: settings that a project keeps under a name, so that nobody types them twice."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from curation.models import Project, User
from training.models import Preset, Run
from training.runs.plans import config_class


def save_preset(
    project: Project,
    name: str,
    kind: str,
    method: str,
    config: dict[str, Any],
    by: User | None,
) -> Preset:
    """Keep what of a resolved config somebody chose. Raises `ValidationError` on its name."""
    name = name.strip()
    if not name:
        raise ValidationError({"preset_name": "Give the preset a name."})
    if len(name) > 80 or "\0" in name:
        raise ValidationError({"preset_name": "The name has at most 80 plain characters."})
    try:
        with transaction.atomic():
            return Preset.objects.create(
                project=project,
                name=name,
                kind=kind,
                method=method,
                config=chosen(kind, method, config),
                created_by=by,
            )
    except IntegrityError as error:
        words = f"There is a preset {name!r} already. Take another name, or remove that one first."
        raise ValidationError({"preset_name": words}) from error


def save_settings_of(run: Run, name: str, by: User | None) -> Preset:
    """The settings of a run under a name."""
    return save_preset(run.project, name, run.kind, run.method, run.config, by)


def chosen(kind: str, method: str, config: dict[str, Any]) -> dict[str, Any]:
    """What differs from the defaults: the rest follows them, also where they change."""
    fields = config_class(kind, method).model_fields
    defaults = config_class(kind, method)().model_dump(mode="json")
    return {
        name: value
        for name, value in config.items()
        if name in fields and value != defaults.get(name)
    }
