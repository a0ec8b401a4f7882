"""What people choose about the review page: their keys; for a project, its reasons."""

from __future__ import annotations

from typing import Any

from django import forms

from curation.models import Decision, Project, User
from curation.review import keys
from curation.review.reasons import LONGEST, MOST, choose, reasons_of


class KeysForm(forms.Form):
    """A field for each action, with the person's key in it; empty means no key."""

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        printed = keys.spoken(keys.keys_of(user))
        for action in keys.ACTIONS:
            attrs = {"size": 10, "autocomplete": "off", "spellcheck": "false", "data-key": "yes"}
            self.fields[action.name] = forms.CharField(
                label=action.words,
                required=False,
                max_length=20,
                strip=False,
                initial=printed[action.name],
                widget=forms.TextInput(attrs={**attrs, "autocapitalize": "off"}),
            )

    def groups(self) -> dict[str, list[forms.BoundField]]:
        found: dict[str, list[forms.BoundField]] = {}
        for action in keys.ACTIONS:
            found.setdefault(action.group, []).append(self[action.name])
        return found

    def clean(self) -> dict[str, str]:
        typed = super().clean() or {}
        chosen = {name: keys.read(typed.get(name, "")) for name in keys.NAMES}
        for name, key in chosen.items():
            if sentence := keys.objection(key):
                self.add_error(name, sentence)
        for sentence in keys.conflicts(chosen):
            self.add_error(None, sentence)
        return chosen

    def save(self) -> None:
        keys.keep(self.user, self.cleaned_data)


class ReasonsForm(forms.Form):
    """One reason a line, for each decision."""

    reject = forms.CharField(
        label="Why a rationale is rejected",
        required=False,
        max_length=MOST * (LONGEST + 2),
        widget=forms.Textarea(attrs={"rows": 7}),
        help_text="One reason a line. An empty field offers none; a note can always be written.",
    )
    accept = forms.CharField(
        label="Why a rationale is accepted",
        required=False,
        max_length=MOST * (LONGEST + 2),
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="One reason a line.",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        own = reasons_of(project)
        kwargs["initial"] = {name: "\n".join(words.values()) for name, words in own.items()}
        super().__init__(*args, **kwargs)
        self.project = project

    def clean_reject(self) -> list[str]:
        return _lines(self.cleaned_data["reject"])

    def clean_accept(self) -> list[str]:
        return _lines(self.cleaned_data["accept"])

    def save(self) -> None:
        for decision in Decision.values:
            choose(self.project, decision, self.cleaned_data[decision])
        self.project.save(update_fields=["options"])


def _lines(typed: str) -> list[str]:
    lines = list(dict.fromkeys(line.strip() for line in typed.split("\n") if line.strip()))
    if len(lines) > MOST:
        raise forms.ValidationError(f"{len(lines)} reasons are too many to choose from: {MOST}.")
    long = next((line for line in lines if len(line) > LONGEST), "")
    if long:
        raise forms.ValidationError(
            f"“{long[:40]}…” has {len(long)} characters; a reason has {LONGEST} at most."
        )
    return lines
