"""What of the audit is looked at: whose deeds, of which kind, in which days."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

from curation.audit import TRAILS, Asked
from curation.models import Project, User

DAYS = [MinValueValidator(date(1970, 1, 1)), MaxValueValidator(date(2999, 12, 31))]


class AuditForm(forms.Form):
    who = forms.TypedChoiceField(label="Person", required=False, coerce=int, empty_value=None)
    kind = forms.ChoiceField(required=False)
    since = forms.DateField(label="From", required=False, validators=DAYS)
    until = forms.DateField(label="To", required=False, validators=DAYS)
    question = forms.IntegerField(required=False, min_value=1, max_value=2**62)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = [(str(user.pk), str(user)) for user in people_of(project)]
        kinds = [(trail.name, trail.words) for trail in TRAILS.values()]
        self.fields["who"].choices = [("", "anybody"), *people]  # type: ignore[attr-defined]
        self.fields["kind"].choices = [("", "anything"), *kinds]  # type: ignore[attr-defined]
        for name in ("since", "until"):
            self.fields[name].widget = forms.DateInput(attrs={"type": "date"})

    def asked(self) -> Asked:
        """What is asked for, as far as it makes sense."""
        self.is_valid()
        return Asked(**{name: self.cleaned_data.get(name) or None for name in self.fields} | {
            "kind": self.cleaned_data.get("kind") or ""
        })  # fmt: skip


def people_of(project: Project) -> list[User]:
    """Members, and those who were members once."""
    events = TRAILS["member"].events.objects.filter(project=project.pk)
    return list(User.objects.filter(pk__in=events.values("user")).order_by("username"))
