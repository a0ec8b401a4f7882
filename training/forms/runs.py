"""The form of a run, made from its config class: one input per setting, under the same name.

Browsers send text; pydantic reads it and says what is wrong, so a setting's rules stand once, in
its `Field`. A number left empty takes its default.
"""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from django import forms
from django.core.exceptions import ValidationError
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from curation.forms.gone import GONE
from curation.models import LanguageModel, Project, User
from training.methods import methods
from training.models import HostClass, Preset, Rehearsal, Run, RunKind
from training.rewards import reward_functions
from training.runs.launch import launch, refuse_bad_settings, resolve
from training.runs.plans import config_class
from training.runs.presets import save_preset
from training.runs.rehearsing import ask_for_rehearsal

FRAME = ("student", "dataset", "name", "seed", "host_class")
# The guide's ranges, and usual ones: beyond them a person is warned, not refused. A default is the
# method's own paper's and is never warned of.
GUIDES: dict[str, tuple[float, float]] = {
    "learning_rate": (1e-5, 5e-5),
    "groups_per_step": (8, 32),
    "temperature": (0.3, 0.7),
    "temperatures": (0.3, 0.7),
    "epochs": (3, 10),
    "top_p": (0.8, 1.0),
    "weight_decay": (0.0, 0.2),
    "max_grad_norm": (0.1, 10.0),
    "group_size": (4, 64),
    "beta": (0.0, 0.5),
}
ROLES = {RunKind.GENERATE: "Model", RunKind.EVALUATE: "Model", RunKind.JUDGE: "Judge"}
FIRST_METHOD = "sft"
QUIET_GROUPS = {"Lengths", "Hardware", "Checkpoints and probes", "Endpoint", "Local model"}


class KindForm(forms.Form):
    """What to launch: it decides which settings there are."""

    kind = forms.ChoiceField(choices=RunKind.choices)
    method = forms.ChoiceField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["method"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(name, module.TITLE) for name, module in methods().items()]

    def chosen(self) -> tuple[str, str]:
        """The kind, and the method if the kind has one; sensible ones for nonsense."""
        self.is_valid()
        kind = self.cleaned_data.get("kind", RunKind.TRAIN.value)
        method = self.cleaned_data.get("method") or FIRST_METHOD
        return kind, method if kind == RunKind.TRAIN else ""


class LaunchForm(forms.Form):
    """The frame of a run and every setting of its config."""

    name = forms.CharField(required=False, max_length=120, help_text="For lists; may stay empty.")
    seed = forms.IntegerField(
        initial=0, min_value=0, help_text="Everything random derives from it and the step."
    )
    host_class = forms.ChoiceField(
        label="Host", choices=HostClass.choices, help_text="The queue that the run waits in."
    )

    def __init__(self, project: Project, kind: str, method: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project, self.kind, self.method = project, kind, method
        self.config_class = config_class(kind, method)
        self._add_frame()
        for name, info in self.config_class.model_fields.items():
            self.fields[name] = field_of(name, info)

    def _add_frame(self) -> None:
        scoring = self.kind == RunKind.SCORE
        judging = self.kind == RunKind.JUDGE
        self.fields["host_class"].initial = HostClass.CPU if scoring or judging else HostClass.GPU
        self.fields["student"] = forms.ModelChoiceField(
            self._models(),
            label=ROLES.get(RunKind(self.kind), "Student"),
            required=not scoring,
            empty_label="None: check answers, steps and lengths" if scoring else "Choose …",
            error_messages=GONE,
            help_text="It reads the rationales: how far each helps it, how likely each is."
            if scoring
            else "",
        )
        if scoring or judging:
            return
        needed = self.kind == RunKind.TRAIN
        self.fields["dataset"] = forms.ModelChoiceField(
            self.project.dataset_versions.all(),
            label="Dataset version",
            required=needed,
            empty_label="Choose …" if needed else "None: the project's questions",
            error_messages=GONE,
            help_text="What it trains on." if needed else "Only the questions that it holds.",
        )

    def clean(self) -> dict[str, Any]:
        """Never launch another thing than was asked for: what is unknown fell back to this."""
        asked = self.data.get("kind") or self.kind
        if asked != self.kind:
            raise ValidationError(f"There is no kind of run {asked!r}. Choose one above.")
        asked = self.data.get("method") or self.method
        if self.method and asked != self.method:
            raise ValidationError(f"There is no method {asked!r}. Choose the method, above.")
        return self.cleaned_data

    def _models(self) -> Any:
        """Those that can do it, the newest first."""
        models = LanguageModel.objects.filter(project=self.project).order_by("-id")
        if self.kind in (RunKind.GENERATE, RunKind.JUDGE):
            return models.exclude(provider="imported")
        return models.filter(provider="local")

    def fieldsets(self) -> list[dict[str, Any]]:
        """Headed groups: the frame, what is the method's own, the rest; quiet ones start closed."""
        grouped: dict[str, list[str]] = {}
        for name, info in self.config_class.model_fields.items():
            grouped.setdefault(group_of(info), []).append(name)
        own = set(self.config_class.__annotations__)
        order = sorted(
            grouped, key=lambda group: (group in QUIET_GROUPS, own.isdisjoint(grouped[group]))
        )
        self.unusual = self.warnings()
        sets = [self._set("Run", [name for name in FRAME if name in self.fields], False)]
        return sets + [self._set(group, grouped[group], group in QUIET_GROUPS) for group in order]

    def _set(self, title: str, names: list[str], quiet: bool) -> dict[str, Any]:
        fields = [self[name] for name in names]
        for field in fields:
            field.warning = self.unusual.get(field.name, "")  # type: ignore[attr-defined]
        wrong = any(field.errors or field.warning for field in fields)  # type: ignore[attr-defined]
        return {"title": title, "fields": fields, "quiet": quiet, "open": wrong or not quiet}

    def config(self) -> dict[str, Any]:
        """The settings as a person gave them; empty ones are left to their defaults."""
        return {
            name: given
            for name, info in self.config_class.model_fields.items()
            if (given := reading(info, self.cleaned_data[name])) is not None
        }

    def frame(self) -> dict[str, Any]:
        """What stands around the config, by name."""
        return {name: self.cleaned_data.get(name) for name in FRAME if name in self.fields}

    def launch(self, by: User, parent: Run | None = None) -> Run | None:
        """The launched run; None after showing at each field what is wrong."""
        try:
            return launch(
                self.project,
                self.kind,
                method=self.method,
                config=self.config(),
                by=by,
                parent=parent,
                **self.frame(),
            )
        except ValidationError as error:
            self.show(error)
            return None

    def rehearse(self, by: User, measured: bool) -> Rehearsal | None:
        """The rehearsal that was asked for; None after showing at each field what is wrong."""
        try:
            return ask_for_rehearsal(
                self.project,
                method=self.method,
                config=self.config(),
                by=by,
                measured=measured,
                **self.frame(),
            )
        except ValidationError as error:
            self.show(error)
            return None

    def keep(self, name: str, by: User) -> Preset | None:
        """The settings as a preset; None after showing what is wrong."""
        try:
            config = resolve(self.kind, self.method, self.config()).model_dump(mode="json")
            refuse_bad_settings(config)
            return save_preset(self.project, name, self.kind, self.method, config, by)
        except ValidationError as error:
            self.show(error)
            return None

    def show(self, error: ValidationError) -> None:
        """Each fault at its field, or above the form."""
        for field, words in error.message_dict.items():
            self.add_error(field if field in self.fields else None, words)  # type: ignore[arg-type]

    def warnings(self) -> dict[str, str]:
        """By field: what is outside its usual range as the form stands."""
        found = {}
        for name, info in self.config_class.model_fields.items():
            if name in GUIDES and (words := unusual(name, info, self[name].value())):
                found[name] = words
        return found


def field_of(name: str, info: FieldInfo) -> forms.Field:
    """The input of one setting. All but choices and flags are text that pydantic will read."""
    default = info.get_default(call_default_factory=True)
    about: dict[str, Any] = {
        "label": info.title or name,
        "help_text": " ".join(filter(None, [info.description, guide_words(name, info)])),
        "required": False,
        "initial": shown(default),
    }
    if info.annotation is bool:
        return forms.BooleanField(**about)
    if get_origin(info.annotation) is Literal:
        choices = [(choice, spoken(choice)) for choice in get_args(info.annotation)]
        return forms.ChoiceField(choices=choices, **about)
    if several := literals_in_list(info.annotation):
        about["initial"] = default
        return forms.MultipleChoiceField(
            choices=several, widget=forms.CheckboxSelectMultiple, **about
        )
    return forms.CharField(widget=widget_of(name, info), **about)


def literals_in_list(kind: Any) -> list[tuple[str, str]]:
    """The choices of a list of literals; none for any other type."""
    if get_origin(kind) is not list or get_origin(get_args(kind)[0]) is not Literal:
        return []
    return [(choice, spoken(choice)) for choice in get_args(get_args(kind)[0])]


def widget_of(name: str, info: FieldInfo) -> forms.Widget:
    """A number input with its bounds, a text area for prompts, or a line of text."""
    numeric = {int, float} & {info.annotation, *get_args(info.annotation)}
    if numeric and get_origin(info.annotation) not in (list, dict):
        step = "any" if float in numeric else "1"
        return forms.NumberInput(attrs={"step": step, **bounds(info), **guide_of(name, info)})
    if name.endswith("prompt") or name == "rubric":
        return forms.Textarea(attrs={"rows": 3 if name.endswith("prompt") else 8})
    return forms.TextInput()


def bounds(info: FieldInfo) -> dict[str, Any]:
    """`min` and `max`; a browser cannot say "more than", so pydantic does."""
    found: dict[str, Any] = {}
    for rule in info.metadata:
        for html, limits in (("min", ("ge", "gt")), ("max", ("le", "lt"))):
            values = [getattr(rule, limit) for limit in limits if hasattr(rule, limit)]
            if values:
                found[html] = values[0]
    return found


def guide_of(name: str, info: FieldInfo) -> dict[str, Any]:
    """What `static/js/guides.js` has to know to warn while somebody types."""
    if name not in GUIDES or group_of(info) == "Judging":
        return {}
    low, high = GUIDES[name]
    own = info.get_default(call_default_factory=True)
    return {"data-low": f"{low:g}", "data-high": f"{high:g}", "data-own": shown(own)}


def group_of(info: FieldInfo) -> str:
    extra = info.json_schema_extra
    return str(extra.get("group", "Settings")) if isinstance(extra, dict) else "Settings"


def spoken(choice: Any) -> str:
    return str(choice).replace("_", " ")


def shown(value: Any) -> Any:
    """A value as its input shows it."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}={weight}" for name, weight in value.items())
    return value


def shown_config(kind: str, method: str, config: dict[str, Any]) -> dict[str, Any]:
    """A stored config as the initial values of its form."""
    fields = config_class(kind, method).model_fields
    known = {name: value for name, value in config.items() if name in fields}
    return {
        name: value if literals_in_list(fields[name].annotation) else shown(value)
        for name, value in known.items()
    }


def reading(info: FieldInfo, given: Any) -> Any:
    """An input's value in the shape that pydantic takes; None where it was left empty."""
    kind = get_origin(info.annotation) or info.annotation
    if kind in (bool, str) or not isinstance(given, str):
        return given
    text = given.strip()
    if not text:
        return None
    if kind is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    return pairs(text) if kind is dict else text


def pairs(text: str) -> dict[str, str]:
    """`answer_correct=1, valid_steps=0.5` as a mapping; a bare name weighs 1."""
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    return {name.strip(): weight.strip() or "1" for name, _, weight in parts}


def guide_words(name: str, info: FieldInfo) -> str:
    """The usual range of a setting, and the paper's own value where that is another."""
    if name == "rewards":
        return f"There are {', '.join(reward_functions())}; a cost has a negative weight."
    if name not in GUIDES or group_of(info) == "Judging":  # a judge is not sampled for variety
        return ""
    low, high = GUIDES[name]
    own = info.get_default(call_default_factory=True)
    inside = all(low <= value <= high for value in numbers(own))
    return f"The guide: {low:g} to {high:g}." + ("" if inside else f" The paper: {shown(own)}.")


def numbers(value: Any) -> list[float]:
    """A setting's value, or what was typed for it, as numbers; none of what is no number."""
    listed = value if isinstance(value, list) else str(value or "").split(",")
    found = []
    for one in listed:
        try:
            found.append(float(one))
        except (TypeError, ValueError):
            return []
    return found


def unusual(name: str, info: FieldInfo, value: Any) -> str:
    """A warning about a value outside its usual range; "" for one inside, or the default."""
    low, high = GUIDES[name]
    found = [] if group_of(info) == "Judging" else numbers(value)
    if found == numbers(info.get_default(call_default_factory=True)):
        return ""
    beyond = [one for one in found if not low <= one <= high]
    if not beyond:
        return ""
    said = ", ".join(f"{one:g}" for one in beyond)
    return f"{info.title or name} is {said}; the guide recommends {low:g} to {high:g}."


def warnings_about(config_type: type[BaseModel], config: dict[str, Any]) -> list[str]:
    """Settings outside their usual range, in words."""
    fields = config_type.model_fields
    found = (
        unusual(name, fields[name], config[name])
        for name in GUIDES
        if name in fields and config.get(name) is not None
    )
    return [words for words in found if words]


def resolved_rows(
    config_type: type[BaseModel], config: dict[str, Any], parent: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The resolved config for reading: title, value, whether somebody chose it, and what the run
    that it is a copy of had instead."""
    rows = []
    for name, info in config_type.model_fields.items():
        if name in config:
            changed = config[name] != info.get_default(call_default_factory=True)
            row = {"name": name, "title": info.title or name, "value": str(shown(config[name]))}
            differs = parent is not None and name in parent and parent[name] != config[name]
            before = str(shown(parent[name])) if differs and parent else None
            rows.append({**row, "changed": changed, "differs": differs, "before": before})
    return rows
