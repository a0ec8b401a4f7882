"""The forms that make a queue and change it: which questions, shown how, asked what, of whom."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet

from curation.forms.gone import GONE
from curation.models import Asked, Project, Queue, QueuePerson, RationaleRole, Role, Split, User
from curation.queues.contents import FEWEST, MOST, Filter, ScoreRange
from curation.work import finished_work

CORRECT = [("", "Any"), ("yes", "Correct answers only"), ("no", "Wrong answers only")]
DECISIONS = [
    ("", "Any"),
    ("accepted", "Accepted by somebody"),
    ("rejected", "Rejected by somebody"),
    ("undecided", "Reviewed by nobody"),
]
SCORERS = [
    ("", "None"),
    ("judge_rating", "Judges' rating"),
    ("valid_steps", "Share of valid steps"),
    ("tokens", "Tokens"),
    ("rationale_difficulty", "Difficulty for the student"),
    ("answer_probability", "Answer's probability for the student"),
    ("rationale_logprob", "Log-probability for the student"),
    ("rationale_rouge_l", "ROUGE-L to the student's own"),
]
RANGES = (1, 2)


def annotators_of(project: Project) -> QuerySet[User]:
    """The members who may judge, by name."""
    judging = [Role.OWNER, Role.RESEARCHER, Role.ANNOTATOR]
    found = User.objects.filter(memberships__project=project, memberships__role__in=judging)
    return found.order_by("username")


class QueueForm(forms.ModelForm):
    """`chosen()` is the filter that the fields describe."""

    split = forms.ChoiceField(choices=[("", "Any"), *Split.choices], required=False)
    source = forms.ChoiceField(required=False, error_messages=GONE)
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
    decision = forms.ChoiceField(choices=DECISIONS, required=False, label="Reviews")
    batch = forms.ChoiceField(
        required=False, label="Written by the run or import", error_messages=GONE
    )
    scorer_1 = forms.ChoiceField(choices=SCORERS, required=False, label="Score")
    low_1 = forms.FloatField(required=False, label="at least")
    high_1 = forms.FloatField(required=False, label="at most")
    scorer_2 = forms.ChoiceField(choices=SCORERS, required=False, label="And score")
    low_2 = forms.FloatField(required=False, label="at least")
    high_2 = forms.FloatField(required=False, label="at most")
    hints = forms.BooleanField(
        required=False,
        initial=True,
        label="Show the reference answer, and which rationale meets it",
    )
    step_hints = forms.BooleanField(
        required=False,
        initial=True,
        label="Show beside each step whether its arithmetic holds",
    )
    people = forms.ModelMultipleChoiceField(
        User.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None ticked means every annotator of the project.",
        error_messages={
            "invalid_choice": "Somebody who was ticked may not judge here any more. Tick again, "
            "among those who may."
        },
    )
    asked = forms.MultipleChoiceField(
        choices=Asked.choices,
        initial=[Asked.RANK, Asked.ACCEPT],
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
        self.fields["batch"].choices = [  # type: ignore[attr-defined]
            ("", "Any"),
            *(
                (str(work.batch), f"{work.title}, {work.at:%d %b}")
                for work in finished_work(project)
            ),
        ]
        self.fields["people"].queryset = annotators_of(project)  # type: ignore[attr-defined]
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
        for number in RANGES:
            self._check_range(data, number)
        people, overlap = data.get("people") or (), data.get("overlap") or 1
        if 0 < len(people) < overlap:
            self.add_error(
                "people", f"Each question is judged by {overlap}; tick as many at least."
            )
        return data

    def _check_range(self, data: dict[str, Any], number: int) -> None:
        low, high = data.get(f"low_{number}"), data.get(f"high_{number}")
        if low is not None and high is not None and low > high:
            self.add_error(f"high_{number}", "This is below the least score beside it.")
        if (low is not None or high is not None) and not data.get(f"scorer_{number}"):
            self.add_error(f"scorer_{number}", "Say which score is meant.")

    def chosen(self) -> Filter:
        """The filter, from the fields that are valid so far."""
        data = self.cleaned_data
        return Filter(
            split=data.get("split") or "",
            source=data.get("source") or "",
            roles=tuple(data.get("roles") or ()),
            correct={"yes": True, "no": False}.get(data.get("correct") or ""),
            scores=self._ranges(),
            decision=data.get("decision") or "",
            batch=data.get("batch") or "",
            min=data.get("min") or 2,
            max=data.get("max") or MOST,
            limit=data.get("limit"),
            hints=bool(data.get("hints")),
            step_hints=bool(data.get("step_hints")),
        )

    def _ranges(self) -> tuple[ScoreRange, ...]:
        data = self.cleaned_data
        found = [
            (data.get(f"scorer_{n}") or "", data.get(f"low_{n}"), data.get(f"high_{n}"))
            for n in RANGES
        ]
        return tuple(one for one in found if one[0] and one[1:] != (None, None))


class QueueSettingsForm(forms.ModelForm):
    """What may be changed of a queue that people work on, and who they are.

    `people` holds a row for each member: (user, the names and states of the two boxes).
    """

    gold_share = forms.FloatField(
        min_value=0,
        max_value=0.5,
        label="Share of gold items",
        help_text="0 to 0.5 of what is handed out, as long as there are gold items.",
    )
    adjudicate_below = forms.FloatField(
        min_value=0,
        max_value=1,
        required=False,
        label="Decide groups with Kendall's W below",
        help_text="0 is upside down, 1 is alike. Empty: never because of ranks.",
    )

    class Meta:
        model = Queue
        fields = (
            "name", "lease_minutes", "gold_share", "adjudicate_below", "adjudicate_splits",
            "adjudicate_blind", "guidelines",
        )  # fmt: skip
        labels = {
            "lease_minutes": "Minutes a person may hold a question",
            "adjudicate_splits": "Decide groups in which one accepts what another rejects",
            "adjudicate_blind": "Hide from the adjudicator who said what",
        }
        help_texts = {"guidelines": "Markdown.", "adjudicate_splits": "", "adjudicate_blind": ""}
        widgets = {"guidelines": forms.Textarea(attrs={"rows": 5})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["gold_share"].widget.attrs["step"] = "0.05"
        self.fields["adjudicate_below"].widget.attrs["step"] = "0.05"
        self.fields["lease_minutes"].widget.attrs |= {"min": 1, "max": 24 * 60}
        self.members = list(annotators_of(self.instance.project))

    def clean_name(self) -> str:
        name = self.cleaned_data["name"]
        others = self.instance.project.queues.exclude(pk=self.instance.pk)
        if others.filter(name=name).exists():
            raise forms.ValidationError(f"There is already a queue named “{name}”. Name it anew.")
        return name

    def clean_lease_minutes(self) -> int:
        return _between(self.cleaned_data["lease_minutes"], 1, 24 * 60, "minutes")

    def people(self) -> list[tuple[User, bool, bool]]:
        """(member, judges, adjudicates), as posted or as stored."""
        if self.is_bound:
            said = {pk: (f"judges-{pk}" in self.data, f"adjudicates-{pk}" in self.data)
                    for pk in (member.pk for member in self.members)}  # fmt: skip
        else:
            named = self.instance.people.all()
            said = {person.user_id: (person.judges, person.adjudicates) for person in named}
        return [(member, *said.get(member.pk, (False, False))) for member in self.members]

    def save(self, commit: bool = True) -> Queue:
        queue = super().save(commit)
        name_people(queue, self.people())
        return queue


def name_people(queue: Queue, said: list[tuple[User, bool, bool]]) -> None:
    """Set who is named for the queue; members that are not in `said` stay as they are."""
    for user, judges, adjudicates in said:
        named = QueuePerson.objects.filter(queue=queue, user=user)
        if not judges and not adjudicates:
            named.delete()
        elif not named.update(judges=judges, adjudicates=adjudicates):
            QueuePerson.objects.create(
                queue=queue, user=user, judges=judges, adjudicates=adjudicates
            )


def _between(value: int, low: int, high: int, what: str) -> int:
    if not low <= value <= high:
        raise forms.ValidationError(f"Give {low} to {high} {what}.")
    return value
