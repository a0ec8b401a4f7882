"""The two forms of an import: which file, and how it is to be read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.template.defaultfilters import filesizeformat

from curation.ingest.mapping import FIELD_ROLES, METADATA
from curation.ingest.plan import Plan
from curation.models import Split

FIELD = "field:"
AUTHORS = ("human", "teacher", "student")


def too_large() -> str:
    limit = filesizeformat(settings.UPLOAD_LIMIT_BYTES)
    return (
        f"The file is larger than {limit}, which is the most that a browser may send here. "
        "Split it, or import it on the server: python manage.py import PROJECT FILE."
    )


class UploadForm(forms.Form):
    file = forms.FileField(
        label="File",
        allow_empty_file=True,
        error_messages={"required": "Choose a file to import."},
        widget=forms.ClearableFileInput(
            attrs={"accept": ".jsonl,.ndjson,.json,.csv,.tsv,.parquet"}
        ),
    )

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        if not file.size:
            raise forms.ValidationError("The file is empty. Choose another one.")
        if file.size > settings.UPLOAD_LIMIT_BYTES:
            raise forms.ValidationError(too_large())
        return file


class PlanForm(forms.Form):
    """How the file is to be read. Empty fields are found out from the file."""

    split = forms.ChoiceField(
        choices=[("", "As the file says"), *Split.choices],
        required=False,
        help_text="Chosen once: a question that is here already keeps its split.",
    )
    source = forms.CharField(max_length=200, required=False)
    human = forms.CharField(max_length=200, required=False, label="Human solutions are by")
    teacher = forms.CharField(
        max_length=200, required=False, label="Unnamed teacher’s texts are by"
    )
    student = forms.CharField(
        max_length=200, required=False, label="Unnamed student’s texts are by"
    )
    mapped = forms.BooleanField(
        required=False, label="I say what each field is, instead of the shape found"
    )

    def __init__(self, *args: Any, guess: dict[str, str], unknown: bool, **kwargs: Any) -> None:
        """`guess` is field → role; `unknown`: no shape fits, so the mapping has to be said."""
        super().__init__(*args, **kwargs)
        self.unknown = unknown
        if unknown:
            del self.fields["mapped"]
        for name, role in guess.items():
            self.fields[f"{FIELD}{name}"] = forms.ChoiceField(
                choices=[*FIELD_ROLES.items()],
                initial=role if role in FIELD_ROLES else METADATA,
                label=name,
                required=False,
            )

    @property
    def is_mapped(self) -> bool:
        return self.unknown or bool(self.cleaned_data.get("mapped"))

    def mapping_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(FIELD)]

    def plan(self, file: str, name: str) -> Plan:
        given = self.cleaned_data
        mapping = {
            field.name.removeprefix(FIELD): given[field.name] or METADATA
            for field in self.mapping_fields()
        }
        return Plan(
            file=file,
            name=name,
            mapping=mapping if self.is_mapped else {},
            split=given["split"],
            source=given["source"],
            names={author: given[author] for author in AUTHORS if given[author]},
        )
