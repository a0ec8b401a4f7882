"""Runs beside each other: what differs in their settings, their curves, what they say to the same
questions, and how they did, with the uncertainty of each difference.

Two models that were asked the same questions are compared pair by pair: the difference is averaged
over the questions, and the questions are what the bootstrap draws again. That is far narrower than
comparing two intervals, for most questions are equally easy for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curation.models import Question, Rationale
from training.measures.intervals import over_questions
from training.models import Evaluation, EvaluationItem, Run, RunKind
from training.reports.curves import (
    SHOWN_FIRST,
    curves,
    grouped_names,
    last_step_by_name,
    seconds_by_step,
)
from training.reports.probes import latest_answers
from training.runs.plans import config_class

FEWEST, MOST = 2, 8
SAMPLES = 12  # questions side by side
Row = dict[str, Any]


def title_of(run: Run) -> str:
    return f"{run} (run {run.pk})" if run.name else str(run)


# --- Settings -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """One setting in every run; None where a run has no such."""

    name: str
    title: str
    values: list[str | None]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


def settings_beside(runs: Sequence[Run]) -> tuple[list[Setting], list[Setting]]:
    """Those that differ, and those that are the same in all."""
    rows = [*frame_of(runs), *configs_of(runs)]
    return [row for row in rows if row.differs], [row for row in rows if not row.differs]


def frame_of(runs: Sequence[Run]) -> list[Setting]:
    named = [
        ("kind", "Kind"),
        ("method", "Method"),
        ("student", "Model"),
        ("dataset", "Dataset version"),
        ("seed", "Seed"),
        ("host_class", "Host"),
    ]
    return [
        Setting(name, title, [said(getattr(run, name)) for run in runs]) for name, title in named
    ]


def configs_of(runs: Sequence[Run]) -> list[Setting]:
    titles: dict[str, str] = {}
    for run in runs:
        for name, info in config_class(run.kind, run.method).model_fields.items():
            titles.setdefault(name, info.title or name)
    return [
        Setting(name, title, [said(run.config.get(name)) for run in runs])
        for name, title in titles.items()
    ]


def said(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}={weight}" for name, weight in value.items())
    return str(value)


# --- Curves ---------------------------------------------------------------------------------------


def metrics_of(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Every metric that any of the runs has, in groups."""
    return grouped_names({name for run in runs for name in last_step_by_name(run)})


def first_metric(groups: Sequence[tuple[str, list[str]]]) -> str:
    """What is drawn unless another is asked for."""
    names = [name for _, listed in groups for name in listed]
    return next((name for name in SHOWN_FIRST if name in names), names[0] if names else "")


def curves_beside(runs: Sequence[Run], metric: str, by_seconds: bool) -> list[Row]:
    """`{"run", "title", "x", "y"}` of each run that has the metric, thinned."""
    found = []
    for run in runs:
        series = curves(run, [metric], -1)["series"].get(metric)
        if series is None:
            continue
        steps, values = series
        if by_seconds:
            clock = seconds_by_step(run, steps)
            kept = [(clock[s], v) for s, v in zip(steps, values, strict=True) if s in clock]
            steps, values = [x for x, _ in kept], [v for _, v in kept]
        found.append({"run": run.pk, "title": title_of(run), "x": steps, "y": values})
    return found


# --- What they say --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Saying:
    """What one run said to a question."""

    text: str
    answer: str
    correct: bool | None


@dataclass(frozen=True)
class Beside:
    """One question and what each run said to it; None where a run was not asked."""

    question: Question
    said: list[Saying | None]


def samples_beside(runs: Sequence[Run]) -> list[Beside]:
    """Questions that at least two of the runs answered, those that all answered first."""
    said_by = [sayings(run) for run in runs]
    counts: dict[int, int] = {}
    for said_to in said_by:
        for question in said_to:
            counts[question] = counts.get(question, 0) + 1
    shared = sorted((q for q in counts if counts[q] > 1), key=lambda q: (-counts[q], q))[:SAMPLES]
    questions = Question.objects.in_bulk(shared)
    return [Beside(questions[q], [said_to.get(q) for said_to in said_by]) for q in shared]


def sayings(run: Run) -> dict[int, Saying]:
    """By question: the last probe of a training, the greedy answers of an evaluation, or the first
    draw of a generation."""
    if run.kind == RunKind.TRAIN and (last := latest_answers([run])[run.pk]):
        return {q: Saying(one.text, one.answer, one.correct) for q, one in last.items()}
    if evaluation := evaluation_of(run):
        items = evaluation.items.filter(index=0)[:500]
        return {i.question_id: Saying(i.thought, i.answer, i.correct) for i in items}
    drawn = Rationale.objects.filter(batch=run.batch).order_by("question_id", "pk")
    first = drawn.distinct("question_id")[:500]
    return {r.question_id: Saying(r.thought, r.answer, None) for r in first}


# --- How they did ---------------------------------------------------------------------------------


def evaluation_of(run: Run, split: str = "") -> Evaluation | None:
    """Its own evaluation, or the newest of its latest checkpoint that has one."""
    found = Evaluation.objects.select_related("model", "run")
    found = found.filter(split=split) if split else found
    if run.kind == RunKind.EVALUATE:
        return found.filter(run=run).first()
    return (
        found.filter(model__checkpoint__run=run).order_by("-model__checkpoint__step", "-id").first()
    )


@dataclass(frozen=True)
class Figure:
    """A measure of one run, and its difference from the first on the questions of both."""

    value: float | None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    shared: int = 0

    @property
    def is_sure(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        if self.difference_low is None or self.difference_high is None:
            return False
        return self.difference_low > 0 or self.difference_high < 0


MEASURES = [
    ("accuracy", "Answer accuracy, greedy", True),
    ("sampled_accuracy", "Answer accuracy, sampled", True),
    ("valid_steps", "Share of valid steps, greedy", True),
    ("tokens", "Tokens a greedy answer", False),
]


@dataclass(frozen=True)
class Line:
    """A measure with its figure for each run."""

    name: str
    title: str
    is_share: bool
    figures: list[Figure]


def table_of(evaluations: Sequence[Evaluation | None]) -> list[Line]:
    """The measures that any of them has; differences are against the first that has one."""
    values = [by_question(one) if one else {} for one in evaluations]
    lines = []
    for name, title, is_share in MEASURES:
        columns = [{q: row[name] for q, row in found.items() if name in row} for found in values]
        if any(columns):
            lines.append(Line(name, title, is_share, figures(columns)))
    return lines


def by_question(evaluation: Evaluation) -> dict[int, dict[str, float]]:
    """Each question's own figures: the greedy answer's, and the mean of the sampled ones."""
    found: dict[int, dict[str, float]] = {}
    sampled: dict[int, list[bool]] = {}
    columns = ("question_id", "index", "correct", "valid_steps", "token_count")
    for question, index, correct, valid, tokens in EvaluationItem.objects.filter(
        evaluation=evaluation
    ).values_list(*columns):
        if index:
            sampled.setdefault(question, []).append(bool(correct))
            continue
        found[question] = {"accuracy": float(bool(correct)), "tokens": float(tokens)}
        if valid is not None:
            found[question]["valid_steps"] = valid
    for question, rights in sampled.items():
        found.setdefault(question, {})["sampled_accuracy"] = sum(rights) / len(rights)
    return found


def figures(columns: Sequence[dict[int, float]]) -> list[Figure]:
    """A figure for each column; the first that is not empty is what the others are held to."""
    first = next((n for n, column in enumerate(columns) if column), None)
    return [
        figure(column, None if first is None or n == first else columns[first])
        for n, column in enumerate(columns)
    ]


def figure(column: dict[int, float], first: dict[int, float] | None) -> Figure:
    """Mean and interval, and the paired difference from `first`."""
    if not column:
        return Figure(None)
    values = [column[question] for question in sorted(column)]
    low, high = over_questions(values)
    mean = sum(values) / len(values)
    if first is None:
        return Figure(mean, low, high)
    shared = sorted(column.keys() & first.keys())
    if not shared:
        return Figure(mean, low, high)
    differences = [column[question] - first[question] for question in shared]
    below, above = over_questions(differences)
    return Figure(mean, low, high, sum(differences) / len(shared), below, above, len(shared))


def splits_of(runs: Sequence[Run]) -> list[str]:
    """The splits that any of the runs was evaluated on."""
    found = Evaluation.objects.filter(run__in=runs) | Evaluation.objects.filter(
        model__checkpoint__run__in=runs
    )
    return sorted(set(found.values_list("split", flat=True)))


def csv_rows(runs: Sequence[Run], lines: Sequence[Line]) -> list[list[Any]]:
    """The table with every digit, a line for each measure and run."""
    head = ["measure", "run", "name", "value", "low", "high", "difference", "difference_low",
            "difference_high", "questions_shared"]  # fmt: skip
    rows: list[list[Any]] = [head]
    for line in lines:
        for run, one in zip(runs, line.figures, strict=True):
            row = [line.name, run.pk, str(run), one.value, one.low, one.high]
            row += [one.difference, one.difference_low, one.difference_high, one.shared or ""]
            rows.append(["" if value is None else value for value in row])
    return rows
