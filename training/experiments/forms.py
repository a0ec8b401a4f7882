"""The form of an experiment: its plan, and the settings of the method that it trains with.

Made from the fields of `ExperimentPlan` and of the method's `Config`, as the form of a run is; the
method's settings bear the prefix `set-`.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from curation.forms.gone import GONE
from curation.models import LanguageModel, Project, User
from training.experiments.deeds import begin
from training.experiments.plan import ExperimentPlan, method_choices, own_fields
from training.forms.runs import QUIET_GROUPS, field_of, group_of, reading, shown
from training.models import Experiment

PREFIX = "set-"
ELSEWHERE = {"method", "settings", "judge"}
ORDER = ("Loop", "Samples", "Judge", "People", "Rewards", "Training", "Evaluation", "Stop rules")
QUIET = {"Judge", "Rewards", "Stop rules"}


class ExperimentForm(forms.Form):
    """The frame (name, start, how it goes on), the plan, and the method's settings."""

    name = forms.CharField(max_length=80, help_text="Its queues, versions and runs bear it.")
    start = forms.ModelChoiceField(
        LanguageModel.objects.none(),
        label="Start",
        empty_label="Choose …",
        error_messages=GONE,
        help_text="The checkpoint that the first iteration draws from and trains.",
    )
    by_itself = forms.ChoiceField(
        label="Goes on",
        choices=[("yes", "by itself"), ("no", "by hand: each stage waits for “Go on”")],
        required=False,
    )

    def __init__(
        self, project: Project, method: str, usual: dict[str, Any], data: Any = None
    ) -> None:
        super().__init__(data)
        self.project, self.method = project, method
        models = LanguageModel.objects.filter(project=project).order_by("-id")
        self._offer("start", models.filter(provider="local"))
        self.fields["judge"] = forms.ModelChoiceField(
            models.exclude(provider="imported"),
            required=False,
            empty_label="None: the verifier, and people",
            error_messages=GONE,
            help_text=ExperimentPlan.model_fields["judge"].description or "",
        )
        for name, info in ExperimentPlan.model_fields.items():
            if name not in ELSEWHERE:
                self.fields[name] = field_of(name, info)
        for name, info in own_fields(method).items():
            self.fields[PREFIX + name] = field_of(name, info)
        self._begin_with(usual)

    def clean(self) -> dict[str, Any]:
        """Never train with another method than was asked for."""
        asked = self.data.get("method") or self.method
        if asked != self.method:
            raise ValidationError(f"There is no method {asked!r} here. Choose the method, above.")
        return self.cleaned_data

    def _offer(self, name: str, models: Any) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = models
        field.initial = models.filter(checkpoint=None).order_by("id").last()

    def _begin_with(self, usual: dict[str, Any]) -> None:
        """The values of a plan as the fields show them."""
        count = self.project.experiments.count()
        self.fields["name"].initial = f"Experiment {count + 1}"
        settings = {PREFIX + name: value for name, value in usual.get("settings", {}).items()}
        given = {**usual, **settings}
        for name, value in given.items():
            if name in self.fields:
                several = isinstance(self.fields[name], forms.MultipleChoiceField)
                self.fields[name].initial = value if several else shown(value)
        self.fields["judge"].initial = usual.get("judge") or None

    def fieldsets(self) -> list[dict[str, Any]]:
        """Headed groups in the order of the loop; what is seldom touched starts closed."""
        grouped: dict[str, list[str]] = {group: [] for group in ORDER}
        for name, info in ExperimentPlan.model_fields.items():
            if name in self.fields:
                grouped[group_of(info)].append(name)
        sets = [self._set("Experiment", ["name", "start", "by_itself"], False)]
        sets += [self._set(title, names, title in QUIET) for title, names in grouped.items()]
        own: dict[str, list[str]] = {}
        for name, info in own_fields(self.method).items():
            own.setdefault(group_of(info), []).append(PREFIX + name)
        order = sorted(own, key=lambda title: title in QUIET_GROUPS)
        return sets + [self._set(f"Training · {t}", own[t], True) for t in order]

    def _set(self, title: str, names: list[str], quiet: bool) -> dict[str, Any]:
        fields = [self[name] for name in names]
        wrong = any(field.errors for field in fields)
        return {"title": title, "fields": fields, "quiet": quiet, "open": wrong or not quiet}

    def plan(self) -> dict[str, Any]:
        """The plan as a person gave it; what is empty keeps its default."""
        fields = {n: i for n, i in ExperimentPlan.model_fields.items() if n not in ELSEWHERE}
        judge = self.cleaned_data.get("judge")
        return {
            **self._read(fields, ""),
            "judge": judge.pk if judge else 0,
            "method": self.method,
            "settings": self._read(own_fields(self.method), PREFIX),
        }

    def _read(self, fields: dict[str, Any], prefix: str) -> dict[str, Any]:
        told = {n: reading(info, self.cleaned_data[prefix + n]) for n, info in fields.items()}
        return {name: value for name, value in told.items() if value is not None}

    def begin(self, by: User) -> Experiment | None:
        """The experiment; None after showing at each field what is wrong."""
        try:
            return begin(
                self.project,
                self.cleaned_data["name"],
                self.cleaned_data["start"],
                self.plan(),
                by_itself=self.cleaned_data["by_itself"] != "no",
                by=by,
            )
        except ValidationError as error:
            for field, words in error.message_dict.items():
                self.add_error(*self._placed(field, words))
            return None

    def _placed(self, field: str, words: list[str]) -> tuple[str | None, Any]:
        """A fault of the method's settings begins with the name of the setting."""
        if field == "settings":
            name, _, rest = words[0].partition(": ")
            if PREFIX + name in self.fields:
                return PREFIX + name, rest
        return (field, words) if field in self.fields else (None, words)


def chosen_method(given: str | None) -> str:
    """The method asked for, the usual one for nonsense."""
    usual: str = ExperimentPlan.model_fields["method"].default
    return given if given in dict(method_choices()) else usual
