"""Small charts of an experiment, iteration by iteration, as numbers of an SVG.

They are drawn in the page itself: they need no script, follow the colours of light and dark, and
print. Every point that is an estimate carries its interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from training.models import Iteration

WIDTH, HEIGHT = 260, 110
LEFT, RIGHT, TOP, BOTTOM = 38, 10, 10, 20


@dataclass(frozen=True)
class Figure:
    """A row of the table and a chart: where it stands in `Iteration.figures`."""

    key: str
    title: str
    about: str
    path: tuple[str, ...]
    low: tuple[str, ...] = ()
    high: tuple[str, ...] = ()
    share: bool = False
    level: float | None = None  # a line to compare with: as long as the teacher, as often as not
    charted: bool = True


def paired(key: str, title: str, about: str, *path: str, **more: object) -> Figure:
    """A figure that is stored with its interval."""
    at = {"path": (*path, "value"), "low": (*path, "low"), "high": (*path, "high")}
    return Figure(key, title, about, **at, **more)  # type: ignore[arg-type]


def measured(key: str, title: str, about: str, **more: object) -> Figure:
    """A figure of the evaluation's summary, with its interval where the summary has one."""
    name = ("evaluation", key)
    bounds = {"low": ("evaluation", f"{key}_low"), "high": ("evaluation", f"{key}_high")}
    return Figure(key, title, about, name, **bounds, **more)  # type: ignore[arg-type]


FIGURES = (
    measured("accuracy", "Accuracy, greedy", "Questions answered right at temperature 0",
             share=True),
    measured("sampled_accuracy", "Accuracy, sampled", "Right answers among samples", share=True),
    paired("against_last", "Win-rate against the one before",
           "Paired by question; 50 % is as good", "against_last", share=True, level=0.5),
    paired("against_start", "Win-rate against the start", "Paired by question", "against_start",
           share=True, level=0.5, charted=False),
    measured("valid_chain_share", "Chains whose every step checks", "Step validity", share=True),
    measured("length_ratio", "Length against the teacher", "Tokens over the references'",
             level=1.0),
    measured("vendi", "Diversity, Vendi", "Effective number of different samples a question"),
    measured("distinct_derivations", "Distinct derivations", "Different right ways a question",
             charted=False),
    Figure("right", "Samples right", "Of the samples it was trained on", ("samples", "right"),
           share=True, charted=False),
    paired("tau_judge", "Judge and people, τ", "Kendall's τ-b on the anchors", "people",
           "tau_judge", level=0.0),
    paired("tau_verifier", "Verifier and people, τ", "Kendall's τ-b on the anchors", "people",
           "tau_verifier", level=0.0),
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Point:
    """One mark: its place, and the ends of its interval."""

    number: int
    x: float
    y: float
    low: float
    high: float
    cell: Cell


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    figure: Figure
    points: list[Point]
    line: str
    level: float | None
    xs: list[Tick]
    ys: list[Tick]
    words: str
    width: int = field(default=WIDTH)
    height: int = field(default=HEIGHT)


def cell(figure: Figure, iteration: Iteration) -> Cell:
    return Cell(*(found(iteration, path) for path in (figure.path, figure.low, figure.high)))


def found(iteration: Iteration, path: Sequence[str]) -> float | None:
    """The number at a path of the figures; none where a part of it is missing."""
    value = iteration.figures if path else None
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, int | float) else None


def rows(iterations: Sequence[Iteration]) -> list[tuple[Figure, list[Cell]]]:
    """The table: each figure that any of the iterations has, with a cell for each."""
    table = [(figure, [cell(figure, one) for one in iterations]) for figure in FIGURES]
    return [(figure, cells) for figure, cells in table if any(c.value is not None for c in cells)]


def charts(iterations: Sequence[Iteration]) -> list[Chart]:
    """A chart for each figure that two iterations have."""
    several = [
        (figure, [(one.number, c) for one, c in zip(iterations, cells, strict=True)])
        for figure, cells in rows(iterations)
        if figure.charted
    ]
    last = max((one.number for one in iterations), default=0)
    return [
        chart(figure, [(n, c) for n, c in marks if c.value is not None], last)
        for figure, marks in several
        if sum(c.value is not None for _, c in marks) > 1
    ]


def chart(figure: Figure, marks: list[tuple[int, Cell]], last: int) -> Chart:
    bottom, top = bounds(figure, [c for _, c in marks])

    def x(number: int) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * number / max(last, 1), 1)

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (top - value) / (top - bottom), 1)

    points = []
    for number, c in marks:
        value = c.value if c.value is not None else bottom
        low, high = (value if end is None else end for end in (c.low, c.high))
        points.append(Point(number, x(number), y(value), y(low), y(high), c))
    return Chart(
        figure=figure,
        points=points,
        line=" ".join(f"{point.x},{point.y}" for point in points),
        level=None if figure.level is None else y(figure.level),
        xs=[Tick(x(n), str(n)) for n in range(0, last + 1, max(1, last // 6))],
        ys=[Tick(y(value), spoken(figure, value)) for value in (bottom, (bottom + top) / 2, top)],
        words="; ".join(f"{n}: {spoken(figure, c.value)}" for n, c in marks if c.value is not None),
    )


def bounds(figure: Figure, cells: list[Cell]) -> tuple[float, float]:
    """The ends of the axis: all marks, intervals and the level, with a little room."""
    values = [v for c in cells for v in (c.value, c.low, c.high) if v is not None]
    values += [] if figure.level is None else [figure.level]
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 0.1
    low, high = low - room, high + room
    return (max(0.0, low), min(1.0, high)) if figure.share else (low, high)


def spoken(figure: Figure, value: float | None) -> str:
    if value is None:
        return "—"
    return f"{100 * value:.0f} %" if figure.share else f"{value:.2f}"
