"""The form that makes a dataset version, and the one that exports it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django import forms
from pydantic import BaseModel, ValidationError

from curation.forms.gone import GONE
from curation.models import (
    Job,
    JobKind,
    LanguageModel,
    Project,
    Ranking,
    Rationale,
    Review,
    Score,
    User,
)
from training.export import export_format
from training.forms.options import field_for, fields_of, given
from training.models import Run, RunKind
from training.selection import selections
from training.selection.record import SCORED_BY
from training.versions.recipe import MODELS, PEOPLE, Recipe, first_fault

Choices = list[tuple[str, str]]
PLAIN = ("min_rationales", "max_rationales", "seed", "conditioned", "adjudicated")
DROPS = ("drop_duplicates", "drop_corrected", "drop_overlap")
LISTS = ("splits", "roles", "authors", "rankings", "reviews", "runs", "imports")


class RecipeForm(forms.Form):
    """`recipe` is there once the form is valid."""

    recipe: Recipe
    name = forms.CharField(
        max_length=120, required=False, help_text="For people; the number is the version's name."
    )
    selection = forms.ChoiceField(choices=[], widget=forms.RadioSelect)
    splits = forms.MultipleChoiceField(
        choices=[("train", "train"), ("validation", "validation"), ("test", "test")]
    )
    roles = forms.MultipleChoiceField(
        choices=[("teacher", "teachers"), ("student", "students"), ("human", "people")],
        label="Written by",
    )
    authors = forms.MultipleChoiceField(required=False, label="Only these authors")
    rankings = forms.MultipleChoiceField(required=False, label="Whose rankings")
    reviews = forms.MultipleChoiceField(required=False, label="Whose reviews")
    runs = forms.MultipleChoiceField(required=False, label="Only from these runs")
    imports = forms.MultipleChoiceField(required=False, label="Only from these imports")

    def __init__(self, data: Any = None, *, project: Project, recipe: Recipe) -> None:
        super().__init__(data, initial=_initial(recipe))
        self.fields["selection"].choices = [(n, m.TITLE) for n, m in selections().items()]  # type: ignore[attr-defined]
        for name in (*PLAIN, *DROPS):
            self.fields[name] = field_for(name, Recipe.model_fields[name])
            self.fields[name].initial = None
        students = students_in(project)
        for name, module in selections().items():
            self.fields |= settings_fields(name, module.Config, students, self.data)
        for name, choices in choices_in(project).items():
            field = self.fields[name]
            field.choices = choices  # type: ignore[attr-defined]
            field.error_messages |= GONE
            field.help_text = field.help_text or Recipe.model_fields[name].description or ""
        for name in LISTS:
            field = self.fields[name]
            field.widget = forms.CheckboxSelectMultiple(choices=field.choices)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors:
            try:
                self.recipe = self._recipe()
            except ValidationError as error:
                raise forms.ValidationError(f"{first_fault(error)}.") from error
        return data

    def _recipe(self) -> Recipe:
        chosen = self.cleaned_data["selection"]
        settings = given(self, selections()[chosen].Config, f"{chosen}-")
        fields = {name: self.cleaned_data[name] for name in (*PLAIN, *DROPS, *LISTS)}
        fields["adjudicated"] = fields["adjudicated"] or Recipe.model_fields["adjudicated"].default
        return Recipe(selection=chosen, settings=settings, **fields)

    def drops(self) -> list[forms.BoundField]:
        """The boxes for what is dropped."""
        return [self[name] for name in DROPS]

    def sources(self) -> list[forms.BoundField]:
        """The narrowing lists that have something to choose from, or had when they were sent."""
        lists = [self[name] for name in ("authors", "runs", "imports")]
        return [one for one in lists if one.field.choices or one.errors]  # type: ignore[attr-defined]

    def narrowed(self) -> bool:
        """Whether one of them is in use."""
        return any(bound.value() for bound in self.sources())

    def selections(self) -> list[dict[str, Any]]:
        """Each selection with its radio button, its words and the fields of its settings."""
        radios = {str(radio.data["value"]): radio for radio in self["selection"]}
        return [
            {
                "name": name,
                "radio": radios[name],
                "title": module.TITLE,
                "help": module.HELP,
                "fields": [self[f"{name}-{field}"] for field in module.Config.model_fields],
            }
            for name, module in selections().items()
        ]


def settings_fields(
    selection: str, config: type[BaseModel], students: Choices, data: Any
) -> dict[str, forms.Field]:
    """The fields of one selection's settings; asked for only where that selection is chosen."""
    fields = fields_of(config, f"{selection}-")
    for name, info in config.model_fields.items():
        extra = info.json_schema_extra
        if isinstance(extra, dict) and SCORED_BY in extra:
            shown = field_for(name, info)
            fields[f"{selection}-{name}"] = forms.ChoiceField(
                choices=[("", "Choose …"), *students],
                label=shown.label,
                help_text=shown.help_text,
                required=False,
                error_messages=GONE,
            )
    if data and data.get("selection") != selection:
        for field in fields.values():
            field.required = False
    return fields


def students_in(project: Project) -> Choices:
    """The models of the project that can be trained; those that have scored rationales say so."""
    models = LanguageModel.objects.filter(project=project, provider="local").order_by("-pk")
    scores = Score.objects.filter(scorer="rationale_difficulty", model__in=models)
    scored = set(scores.order_by().values_list("model", flat=True).distinct())
    return [
        (f"model-{model.pk}", str(model) if model.pk in scored else f"{model} (has not scored)")
        for model in models
    ]


def _initial(recipe: Recipe) -> dict[str, Any]:
    values = recipe.model_dump()
    settings = values.pop("settings")
    return values | {f"{recipe.selection}-{key}": value for key, value in settings.items()}


def choices_in(project: Project) -> dict[str, Choices]:
    """Who and what a recipe can name in this project."""
    models = {model.pk: str(model) for model in LanguageModel.objects.filter(project=project)}
    ours = {"question__project": project}
    writers = Rationale.objects.filter(**ours).order_by()
    ranked = Ranking.objects.live().filter(**ours).order_by()
    reviewed = Review.objects.live().filter(rationale__question__project=project).order_by()
    wrote = {*writers.values_list("author_model", "author_user").distinct()}
    judged = {*ranked.values_list("judge_model", "judge_user").distinct()}
    reviewers = {*reviewed.values_list("reviewer", flat=True).distinct()}
    found = {user for _, user in wrote | judged if user} | reviewers
    people = {user.pk: str(user) for user in User.objects.filter(pk__in=found)}
    reviewing = [(f"person-{pk}", people[pk]) for pk in reviewers]
    return {
        "authors": _authors(wrote, models, people),
        "rankings": [
            (PEOPLE, "all people"),
            (MODELS, "all judge models"),
            *_authors(judged, models, people),
        ],
        "reviews": [(PEOPLE, "all people"), *sorted(reviewing, key=lambda one: one[1])],
        "runs": runs_of(project),
        "imports": imports_of(project),
    }


def _authors(
    pairs: Collection[tuple[int | None, int | None]], models: dict[int, str], people: dict[int, str]
) -> Choices:
    named = [
        (f"model-{model}", models[model]) if model else (f"person-{user}", people[user or 0])
        for model, user in pairs
    ]
    return sorted(named, key=lambda one: one[1])


def runs_of(project: Project) -> Choices:
    """The latest runs that may have written rationales."""
    writing = Run.objects.filter(project=project, kind__in=[RunKind.GENERATE, RunKind.TRAIN])
    return [(str(run.pk), f"{run} (run {run.pk})") for run in writing[:50]]


def imports_of(project: Project) -> Choices:
    """The latest imports."""
    jobs = Job.objects.filter(project=project, kind=JobKind.IMPORT)[:50]
    return [(str(job.pk), f"{job} of {job.created_at:%d %b %Y}") for job in jobs]


class ExportForm(forms.Form):
    """The options of one format; `options` holds those that differ from its defaults."""

    options: dict[str, Any]
    data_files = forms.ChoiceField(
        choices=[("jsonl", "JSONL"), ("parquet", "Parquet")],
        initial="jsonl",
        label="Data files",
        help_text="JSONL can be read by eye; parquet is smaller and typed.",
    )

    def __init__(self, *args: Any, format: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.config: type[BaseModel] = export_format(format).Config
        self.fields |= fields_of(self.config)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors:
            try:
                chosen = self.config(**given(self, self.config))
            except ValidationError as error:
                raise forms.ValidationError(f"{first_fault(error)}.") from error
            self.options = chosen.model_dump(exclude_defaults=True)
        return data
