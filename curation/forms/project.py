"""The forms of a project: its names and its members."""

from __future__ import annotations

from django import forms
from django.utils.text import slugify

from curation.members import find_user
from curation.models import Project, Role, User

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
