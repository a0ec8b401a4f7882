"""Form fields from the fields of a pydantic model: names, bounds and help are written once."""

from __future__ import annotations

from types import UnionType
from typing import Any, Literal, get_args, get_origin

import annotated_types
from django import forms
from pydantic import BaseModel
from pydantic.fields import FieldInfo


def fields_of(config: type[BaseModel], prefix: str = "") -> dict[str, forms.Field]:
    """One form field for each field of `config`, in its order."""
    return {f"{prefix}{name}": field_for(name, info) for name, info in config.model_fields.items()}


def field_for(name: str, info: FieldInfo) -> forms.Field:
    """The form field of one setting. Raises TypeError for a type that has none."""
    shared: dict[str, Any] = {
        "label": info.title or name.replace("_", " ").capitalize(),
        "help_text": info.description or "",
        "initial": info.get_default(call_default_factory=True),
        "required": False,
    }
    kind = info.annotation
    if get_origin(kind) is list and get_origin(get_args(kind)[0]) is Literal:
        choices = choices_of(get_args(kind)[0])
        boxes = forms.CheckboxSelectMultiple
        return forms.MultipleChoiceField(**shared, choices=choices, widget=boxes)
    if get_origin(kind) is Literal:
        return forms.ChoiceField(**shared, choices=choices_of(kind))
    if kind is bool:
        return forms.BooleanField(**shared)
    if kind is int:
        return forms.IntegerField(**shared | {"required": True}, **bounds(info))
    if kind is float:
        step = forms.NumberInput(attrs={"step": "any"})
        return forms.FloatField(**shared | {"required": True}, **bounds(info), widget=step)
    if kind is str:
        return forms.CharField(**shared)
    raise TypeError(f"There is no form field for {name}: {kind}.")


def choices_of(kind: type | UnionType | Any) -> list[tuple[str, str]]:
    """The values of a Literal, with words for people."""
    return [(value, str(value).replace("_", " ")) for value in get_args(kind)]


def bounds(info: FieldInfo) -> dict[str, Any]:
    """The least and the greatest value."""
    found: dict[str, Any] = {}
    for rule in info.metadata:
        if isinstance(rule, annotated_types.Ge):
            found["min_value"] = rule.ge
        elif isinstance(rule, annotated_types.Gt):
            found["min_value"] = rule.gt
        elif isinstance(rule, annotated_types.Le):
            found["max_value"] = rule.le
    return found


def given(form: forms.Form, config: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """What a valid form says about the fields of `config`."""
    return {name: form.cleaned_data[f"{prefix}{name}"] for name in config.model_fields}
