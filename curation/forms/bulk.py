"""What the bar under a list sends: which rows, and what is to be done with them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict
from django.urls import reverse

from curation.browsing.bulk import DEEDS, JUDGING, QUESTIONS, Deed, Errand
from curation.forms.browsing import RationaleSearchForm, SearchForm
from curation.models import Decision, Project
from curation.review.reasons import reasons_of

MOST = 1_000  # rows that can be ticked one by one


class BulkForm(forms.Form):
    """`address` is the query of the list that the bar stands under; with `all`, its search."""

    deed = forms.ChoiceField(
        choices=list(DEEDS.items()),
        error_messages={"required": "Choose what to do with the rows."},
    )
    pk = forms.TypedMultipleChoiceField(required=False, coerce=int)
    all = forms.BooleanField(required=False)
    confirmed = forms.BooleanField(required=False)
    address = forms.CharField(required=False, max_length=4000, strip=False)
    question = forms.IntegerField(required=False, min_value=1)
    tag = forms.CharField(required=False, max_length=60)
    queue = forms.IntegerField(required=False, min_value=1)
    reason = forms.MultipleChoiceField(
        required=False,
        error_messages={
            "invalid_choice": "“%(value)s” is not among the project's reasons any more. Nothing "
            "was rejected; choose again."
        },
    )
    note = forms.CharField(required=False, max_length=5000, widget=forms.Textarea)

    def __init__(self, *args: Any, project: Project, things: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project, self.things = project, things
        given = self.data.getlist("pk") if isinstance(self.data, QueryDict) else []
        keys = [pk for pk in given[:MOST] if pk.isascii() and pk.isdigit() and len(pk) < 19]
        self.fields["pk"].choices = [(pk, pk) for pk in keys]  # type: ignore[attr-defined]
        reasons = reasons_of(project)[Decision.REJECT]
        self.fields["reason"].choices = list(reasons.items())  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not data.get("pk") and not data.get("all"):
            raise forms.ValidationError("Nothing is selected. Tick a row, or all that match.")
        return data

    def errand(self) -> Errand:
        data = self.cleaned_data
        deed = Deed(
            data["deed"],
            tag=data["tag"] if data["deed"] in {"tag", "untag"} else "",
            queue=(data["queue"] or 0) if data["deed"] == "queue" else 0,
            reasons=tuple(data["reason"]) if data["deed"] == Decision.REJECT else (),
            note=data["note"] if data["deed"] in JUDGING else "",
        )
        if data["all"]:
            return Errand(self.things, deed, search=self.search().given())
        return Errand(self.things, deed, keys=tuple(data["pk"]))

    def search(self) -> Any:
        return self.sought().search()

    def sought(self) -> SearchForm | RationaleSearchForm:
        """The form of the list that the bar stands under, as it was filled in."""
        form = SearchForm if self.things == QUESTIONS else RationaleSearchForm
        return form(QueryDict(self.cleaned_data["address"]), project=self.project)

    @property
    def asks_first(self) -> bool:
        """A deed on rows that nobody has looked at is asked about once more."""
        return self.cleaned_data["all"] and not self.cleaned_data["confirmed"]

    def back(self) -> str:
        """The page that the bar stands under."""
        data = getattr(self, "cleaned_data", {})
        if data.get("question"):
            return reverse("question", args=[self.project.slug, data["question"]])
        query = QueryDict(data.get("address", "")).urlencode()
        return f"{reverse(self.things, args=[self.project.slug])}?{query}"
