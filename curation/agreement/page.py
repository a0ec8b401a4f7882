"""What the agreement page shows: figures as they are stored, arranged for reading."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from curation.models import Figure, LanguageModel, Measure, Project, Queue, User, Window

WINDOWS = {value: label for value, label in Window.choices if value != Window.ONE_WEEK}
OVERALL = {
    Measure.ALPHA_ACCEPT: "Agreement on accept and reject beyond chance: 1 is perfect, 0 chance.",
    Measure.ALPHA_RANK: "Agreement on ranks beyond chance: 1 is perfect, 0 chance.",
    Measure.TAU: "Mean over two people and a question: 1 the same order, −1 the reverse.",
    Measure.W: "Mean over questions: 1 is the same order; two people at random reach 0.5.",
    Measure.GOLD: "Share of what is known of the gold items that people say too.",
    Measure.SECONDS: "From opening a group to submitting its ranking.",
}
MATRIX = 12


@dataclass
class Line:
    """A person or a model with its figures by measure."""

    who: User | LanguageModel
    figures: dict[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """The page's parts; empty where nothing was computed yet."""

    computed_at: datetime | None
    overall: list[tuple[str, str, Figure]]
    people: list[Line]
    models: list[Line]
    matrix: list[tuple[User, list[Figure | None]]]
    weakest: list[Figure]
    weeks: Weeks | None


def report(project: Project, queue: Queue | None, window: str, reader: User | None) -> Report:
    """`reader`: somebody who sees no names but their own; None sees all."""
    found = Figure.objects.filter(project=project, queue=queue)
    rows = list(found.filter(window=window).select_related("person", "other", "model"))
    weekly = found.filter(window=Window.ONE_WEEK, value__isnull=False).order_by("week")
    own = [row for row in rows if reader is None or row.person in {None, reader}]
    own = [row for row in own if reader is None or row.other is None]
    people = _people(own)
    pairs = [row for row in own if row.other_id]
    return Report(
        computed_at=max((row.computed_at for row in rows), default=None),
        overall=_overall(rows),
        people=people,
        models=_models(own),
        matrix=_matrix(people, pairs) if len(people) <= MATRIX else [],
        weakest=sorted(pairs, key=_value)[:20] if len(people) > MATRIX else [],
        weeks=Weeks.of(list(weekly)),
    )


def _overall(rows: list[Figure]) -> list[tuple[str, str, Figure]]:
    whole = {row.measure: row for row in rows if not (row.person_id or row.model_id)}
    return [
        (Measure(name).label, about, whole[name])
        for name, about in OVERALL.items()
        if name in whole and whole[name].items
    ]


def _people(rows: list[Figure]) -> list[Line]:
    lines: dict[int, Line] = {}
    for row in rows:
        if row.person and not row.other_id and not row.model_id:
            line = lines.setdefault(row.person.pk, Line(row.person))
            line.figures[row.measure] = row
    return sorted(lines.values(), key=lambda line: str(line.who))


def _models(rows: list[Figure]) -> list[Line]:
    """Judges with the people together."""
    lines = [
        Line(row.model, {row.measure: row}) for row in rows if row.model and row.person_id is None
    ]
    return sorted(lines, key=lambda line: str(line.who))


def _matrix(people: list[Line], pairs: list[Figure]) -> list[tuple[User, list[Figure | None]]]:
    """A row for each person, a cell for each; None on the diagonal and where nothing is shared."""
    known = {frozenset((row.person_id, row.other_id)): row for row in pairs}
    ranked = [line.who for line in people if Measure.TAU in line.figures]
    return [
        (one, [known.get(frozenset((one.pk, other.pk))) for other in ranked])  # type: ignore[misc]
        for one in ranked
        if pairs
    ]


def _value(row: Figure) -> float:
    return row.value if row.value is not None else 1.0


WIDTH, HEIGHT, LEFT, BOTTOM = 640, 160, 36, 24


@dataclass(frozen=True)
class Point:
    """One week on the picture."""

    week: date
    x: float
    y: float
    low: float
    high: float
    figure: Figure


@dataclass(frozen=True)
class Weeks:
    """tau by week as the coordinates of a small picture; the scale is −1 to 1, or from 0 where
    nothing lies below."""

    points: list[Point]
    line: str
    band: str
    grid: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT

    @classmethod
    def of(cls, figures: list[Figure]) -> Weeks | None:
        if len(figures) < 2:
            return None
        bottom = -1.0 if min(_low(row) for row in figures) < 0 else 0.0
        days = [row.week.toordinal() for row in figures if row.week]
        span = max(days[-1] - days[0], 1)

        def x(day: int) -> float:
            return round(LEFT + 8 + (WIDTH - LEFT - 24) * (day - days[0]) / span, 1)

        def y(value: float) -> float:
            return round(8 + (HEIGHT - BOTTOM - 8) * (1 - (value - bottom) / (1 - bottom)), 1)

        points = [
            Point(row.week, x(day), y(row.value or 0), y(_low(row)), y(_high(row)), row)
            for row, day in zip(figures, days, strict=True)
            if row.week
        ]
        line = " ".join(f"{p.x},{p.y}" for p in points)
        upper = [f"{p.x},{p.high}" for p in points]
        lower = [f"{p.x},{p.low}" for p in reversed(points)]
        marks = [1.0, 0.5, 0.0] if bottom == 0 else [1.0, 0.0, -1.0]
        return cls(points, line, " ".join(upper + lower), [(y(m), f"{m:g}") for m in marks])


def _low(row: Figure) -> float:
    return row.low if row.low is not None else (row.value or 0)


def _high(row: Figure) -> float:
    return row.high if row.high is not None else (row.value or 0)
