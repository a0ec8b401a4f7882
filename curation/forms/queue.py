"""The form that makes a queue: which questions, shown how, asked what."""

from __future__ import annotations

from typing import Any

from django import forms

from curation.models import Asked, Project, Queue, RationaleRole, Split
from curation.queues import FEWEST, MOST, Filter

CORRECT = [("", "Any"), ("yes", "Correct answers only"), ("no", "Wrong answers only")]


class QueueForm(forms.ModelForm):
    """`chosen()` is the filter that the fields describe."""

    split = forms.ChoiceField(choices=[("", "Any"), *Split.choices], required=False)
    source = forms.ChoiceField(required=False)
    roles = forms.MultipleChoiceField(
        choices=RationaleRole.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Written by",
        help_text="None ticked means any.",
    )
    correct = forms.ChoiceField(choices=CORRECT, required=False, label="Final answer")
    min = forms.IntegerField(
        min_value=FEWEST,
        max_value=MOST,
        initial=2,
        label="Rationales, at least",
        help_text="Questions with fewer are left out. Same words count once.",
    )
    max = forms.IntegerField(
        min_value=FEWEST, max_value=MOST, initial=MOST, label="Rationales shown, at most"
    )
    limit = forms.IntegerField(
        min_value=1,
        max_value=10_000_000,
        required=False,
        label="Questions, at most",
        help_text="Empty means all that match.",
    )
    hints = forms.BooleanField(
        required=False,
        initial=True,
        label="Show the reference answer, and which rationale meets it",
    )
    asked = forms.MultipleChoiceField(
        choices=Asked.choices,
        initial=list(Asked.values),
        widget=forms.CheckboxSelectMultiple,
        label="What is asked",
    )

    class Meta:
        model = Queue
        fields = ("name", "overlap", "ordering", "blind", "asked", "lease_minutes", "guidelines")
        labels = {
            "overlap": "People per question",
            "lease_minutes": "Minutes a person may hold a question",
            "blind": "Hide who wrote what",
        }
        help_texts = {
            "guidelines": "Markdown. Shown above each question, on demand.",
            "blind": "",
        }
        widgets = {"guidelines": forms.Textarea(attrs={"rows": 5})}

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.project = project
        sources = project.questions.order_by("source").values_list("source", flat=True).distinct()
        self.fields["source"].choices = [("", "Any"), *((s, s) for s in sources if s)]  # type: ignore[attr-defined]
        self.fields["overlap"].widget.attrs |= {"min": 1, "max": 100}
        self.fields["lease_minutes"].widget.attrs |= {"min": 1, "max": 24 * 60}

    def clean_name(self) -> str:
        name = self.cleaned_data["name"]
        if self.instance.project.queues.filter(name=name).exists():
            raise forms.ValidationError(f"There is already a queue named “{name}”. Name it anew.")
        return name

    def clean_overlap(self) -> int:
        return _between(self.cleaned_data["overlap"], 1, 100, "people")

    def clean_lease_minutes(self) -> int:
        return _between(self.cleaned_data["lease_minutes"], 1, 24 * 60, "minutes")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        fewest, most = data.get("min"), data.get("max")
        if fewest and most and fewest > most:
            self.add_error("max", "This is fewer than the least number of rationales above.")
        if fewest == 1 and Asked.RANK in data.get("asked", []):
            self.add_error("min", "To be ranked, a question needs at least two rationales.")
        return data

    def chosen(self) -> Filter:
        """The filter, from the fields that are valid so far."""
        data = self.cleaned_data
        return Filter(
            split=data.get("split") or "",
            source=data.get("source") or "",
            roles=tuple(data.get("roles") or ()),
            correct={"yes": True, "no": False}.get(data.get("correct") or ""),
            min=data.get("min") or 2,
            max=data.get("max") or MOST,
            limit=data.get("limit"),
            hints=bool(data.get("hints")),
        )


def _between(value: int, low: int, high: int, what: str) -> int:
    if not low <= value <= high:
        raise forms.ValidationError(f"Give {low} to {high} {what}.")
    return value
