"""What to look for among questions and rationales: every field is a part of the address."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.forms import BoundField

from curation.browsing import rationale_search
from curation.browsing.question_search import (
    ACCORD,
    ORDERS,
    RIGHT,
    STATES,
    Search,
    scorers,
    sources_of,
    tags_of,
)
from curation.browsing.rationale_search import VERDICTS, RationaleSearch
from curation.models import Project, RationaleRole, Split
from curation.work import latest_work, work_of

FIRST = ("q", "split", "source", "order")
RANGE = ("scorer", "low", "high")
ANY = ("", "any")


class SoughtForm(forms.Form):
    """The fields of `browsing.Sought`; a value that makes no sense is as good as none."""

    q = forms.CharField(
        label="Words",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "apples -basket"}),
    )
    split = forms.ChoiceField(required=False, choices=[ANY, *Split.choices])
    source = forms.ChoiceField(required=False)
    order = forms.ChoiceField(label="Sort", required=False)
    role = forms.ChoiceField(
        label="Written by", required=False, choices=[("", "anybody"), *RationaleRole.choices]
    )
    author = forms.ChoiceField(label="Model", required=False)
    right = forms.ChoiceField(label="Answer", required=False)
    batch = forms.ChoiceField(label="Run or import", required=False)
    tag = forms.ChoiceField(required=False)
    scorer = forms.ChoiceField(label="Score", required=False)
    low = forms.FloatField(label="from", required=False)
    high = forms.FloatField(label="to", required=False)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = project.language_models.all()
        self.choose("source", [(name, name) for name in sources_of(project)])
        self.choose("author", [(str(model.pk), str(model)) for model in models])
        self.choose("batch", works(project, str(self.data.get("batch", ""))))
        self.choose("tag", [(name, name) for name in tags_of(project)])
        self.choose("scorer", [(name, name.replace("_", " ")) for name in scorers()])
        for name in ("low", "high"):
            self.fields[name].widget.attrs |= {"step": "any"}

    def choose(self, field: str, choices: list[tuple[str, str]]) -> None:
        self.fields[field].choices = [ANY, *choices]  # type: ignore[attr-defined]

    def given(self) -> dict[str, Any]:
        self.is_valid()
        found = {name: self.cleaned_data.get(name) for name in self.fields}
        return {name: value for name, value in found.items() if value not in ("", None)}

    def in_words(self) -> list[tuple[str, str]]:
        """What is asked for, as (label, value) a person reads; without the order."""
        told = []
        for name, value in self.given().items():
            choices = dict(getattr(self.fields[name], "choices", ()))
            if name != "order":
                told.append((str(self[name].label), str(choices.get(value, value))))
        return told

    def first(self) -> list[BoundField]:
        return [self[name] for name in FIRST]

    def rest(self) -> list[list[BoundField]]:
        """The other fields, those together that say one thing."""
        alone = [name for name in self.fields if name not in {*FIRST, *RANGE}]
        return [*([self[name]] for name in alone), [self[name] for name in RANGE]]


class SearchForm(SoughtForm):
    state = forms.ChoiceField(required=False, choices=list(STATES.items()))
    accord = forms.ChoiceField(label="Accord", required=False, choices=list(ACCORD.items()))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["right"].choices = list(RIGHT.items())  # type: ignore[attr-defined]
        self.fields["right"].label = "Answers"
        self.fields["order"].choices = list(ORDERS.items())  # type: ignore[attr-defined]

    def search(self) -> Search:
        """What is asked for, as far as it makes sense."""
        return Search(**self.given())


class RationaleSearchForm(SoughtForm):
    """`veiled`: without the fields that a blind judge may not use."""

    verdict = forms.ChoiceField(required=False, choices=list(VERDICTS.items()))

    def __init__(self, *args: Any, veiled: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rights, orders = rationale_search.RIGHT, rationale_search.ORDERS
        self.fields["right"].choices = list(rights.items())  # type: ignore[attr-defined]
        self.fields["order"].choices = list(orders.items())  # type: ignore[attr-defined]
        if veiled:
            for name in ("role", "author", "batch", "verdict"):
                del self.fields[name]

    def search(self) -> RationaleSearch:
        return RationaleSearch(**self.given())


def works(project: Project, given: str) -> list[tuple[str, str]]:
    """The newest pieces of work, and the one that the address names."""
    found = {str(work.batch): work.title for work in latest_work(project)}
    try:
        named = UUID(given)
    except ValueError:
        return list(found.items())
    if given not in found:
        work = work_of(project, [named]).get(named)
        found[str(named)] = work.title if work else f"batch {given[:8]}…"
    return list(found.items())
