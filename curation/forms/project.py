"""The forms of a project: its names, its members, and what to look for among its questions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.text import slugify

from curation.browsing import ORDERS, RIGHT, STATES, Search, sources_of
from curation.members import find_user
from curation.models import Project, RationaleRole, Role, Split, User

RESERVED = {"new"}


class ProjectForm(forms.ModelForm):
    class Meta:
        model = Project
        fields = ("name", "description", "guidelines")
        widgets = {
            "description": forms.Textarea(attrs={"rows": 2}),
            "guidelines": forms.Textarea(attrs={"rows": 8}),
        }
        help_texts = {
            "description": "One or two sentences for those who open the list of projects.",
            "guidelines": "Markdown, shown to every annotator beside the question.",
        }

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"].strip()
        if not slugify(name):
            raise forms.ValidationError("Give a name with at least one letter or figure.")
        return name

    def save(self, commit: bool = True) -> Project:
        project: Project = super().save(commit=False)
        project.slug = project.slug or free_slug(project.name)
        if commit:
            project.save()
        return project


def free_slug(name: str) -> str:
    """The name as an address, with a number behind it if another project has that address."""
    base = slugify(name)[:50]
    slug, number = base, 2
    while slug in RESERVED or Project.objects.filter(slug=slug).exists():
        slug, number = f"{base}-{number}", number + 1
    return slug


class MemberForm(forms.Form):
    """`user` is a name or an address until it is cleaned, then the person."""

    user = forms.CharField(
        label="Username or email", max_length=254, widget=forms.TextInput(attrs={"size": 24})
    )
    role = forms.ChoiceField(choices=Role.choices, initial=Role.ANNOTATOR)

    def clean_user(self) -> User:
        return find_user(self.cleaned_data["user"])


class SearchForm(forms.Form):
    q = forms.CharField(
        label="Words",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "apples -basket"}),
    )
    split = forms.ChoiceField(required=False, choices=[("", "any"), *Split.choices])
    source = forms.ChoiceField(required=False)
    state = forms.ChoiceField(required=False, choices=list(STATES.items()))
    role = forms.ChoiceField(
        label="Written by", required=False, choices=[("", "anybody"), *RationaleRole.choices]
    )
    right = forms.ChoiceField(label="Answers", required=False, choices=list(RIGHT.items()))
    order = forms.ChoiceField(required=False, choices=list(ORDERS.items()))

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", "any"), *((source, source) for source in sources_of(project))]
        self.fields["source"].choices = choices  # type: ignore[attr-defined]

    def search(self) -> Search:
        """What is asked for, as far as it makes sense."""
        self.is_valid()
        return Search(**{name: self.cleaned_data.get(name, "") for name in self.fields})
