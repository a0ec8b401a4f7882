"""Means with their intervals over seeds, and plots as small SVG files that need no library.

The plots stand on a light or a dark page alike: nothing is filled, and every colour is a middle
one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10, sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any
from xml.sax.saxutils import escape

from scipy.stats import t

IMAGES = Path(__file__).parents[2] / "docs" / "images" / "claims"
GREY, COPPER = "#808080", "#b8692e"

Interval = tuple[float, float, float]  # mean, low, high


def over_seeds(values: Sequence[float], least: float = 0.0, most: float = float("inf")) -> Interval:
    """Mean and 95 % t interval over seeds, cut to the range of what is measured. Raises ValueError
    for a single seed, which has no interval."""
    if len(values) < 2:
        raise ValueError("One seed has no interval: run with --seeds 2 or more.")
    mean = fmean(values)
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / sqrt(len(values))
    return mean, max(least, mean - half), min(most, mean + half)


def columns(name: str, interval: Interval, digits: int = 4) -> dict[str, float]:
    """An interval as three keys: the name, `_low` and `_high`."""
    keys = (name, f"{name}_low", f"{name}_high")
    return {key: round(value, digits) for key, value in zip(keys, interval, strict=True)}


def summed_up(
    rows: Sequence[Mapping[str, float]], measures: Mapping[str, tuple[float, float]]
) -> dict[str, float]:
    """Each measure of an arm's rows, one row a seed, as three keys; a measure has its range."""
    found: dict[str, float] = {}
    for name, (least, most) in measures.items():
        found |= columns(name, over_seeds([row[name] for row in rows], least, most))
    return found


def difference(left: Sequence[float], right: Sequence[float]) -> dict[str, float]:
    """Left less right with the t interval of the differences, seed by seed."""
    gaps = [one - other for one, other in zip(left, right, strict=True)]
    return columns("difference", over_seeds(gaps, -float("inf")))


def show(title: str, rows: Sequence[tuple[str, Mapping[str, float]]], names: Sequence[str]) -> None:
    """The table on the screen."""
    from rich.console import Console
    from rich.table import Table

    table = Table("arm", *names, title=title)
    for label, row in rows:
        cells = [f"{row[n]:.3f} ({row[f'{n}_low']:.3f} to {row[f'{n}_high']:.3f})" for n in names]
        table.add_row(label, *cells)
    Console().print(table)


# --- Plots ----------------------------------------------------------------------------------------

WIDTH, LEFT, RIGHT, ROW = 640, 190, 20, 26


@dataclass(frozen=True)
class Axis:
    """Values to pixels."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        low, high = self._scaled(self.low), self._scaled(self.high)
        share = (self._scaled(min(max(value, self.low), self.high)) - low) / (high - low)
        return round(self.start + share * (self.end - self.start), 1)

    def _scaled(self, value: float) -> float:
        return log10(value) if self.logarithmic else value


def dot_plot(
    name: str, title: str, rows: Sequence[tuple[str, Interval]], ticks: Sequence[float], mark: str
) -> None:
    """One line an arm: the mean as a dot, its interval as a bar; the arm `mark` in copper."""
    height = 60 + ROW * len(rows)
    axis = Axis(ticks[0], ticks[-1], LEFT, WIDTH - RIGHT)
    parts = [_text(LEFT, 16, title, "start", bold=True)]
    for tick in ticks:
        x = axis.at(tick)
        parts += [_line(x, 28, x, height - 28, GREY, 0.3), _text(x, height - 10, f"{tick:g}")]
    for place, (label, interval) in enumerate(rows):
        y = 28 + ROW * (place + 0.5)
        colour = COPPER if label == mark else GREY
        parts.append(_text(LEFT - 10, y + 4, label, "end"))
        parts += _dot(axis.at(interval[0]), y, colour)
        parts.append(_line(axis.at(interval[1]), y, axis.at(interval[2]), y, colour))
    _write(name, height, title, parts)


@dataclass(frozen=True)
class Point:
    """One arm in two measures; a `faint` one is drawn hollow."""

    label: str
    across: Interval
    up: Interval
    faint: bool = False


def scatter(
    name: str,
    title: str,
    labels: tuple[str, str],
    points: Sequence[Point],
    ticks: tuple[Sequence[float], Sequence[float]],
    mark: str,
) -> None:
    """Two measures against each other, both with intervals; the second on a logarithmic scale."""
    height, bottom, right = 460, 410, WIDTH - 90
    across = Axis(ticks[0][0], ticks[0][-1], 60, right)
    up = Axis(ticks[1][0], ticks[1][-1], bottom, 44, logarithmic=True)
    parts = [_text(60, 16, title, "start", bold=True), _text(60, 34, labels[1], "start")]
    for tick in ticks[0]:
        x = across.at(tick)
        parts += [_line(x, 44, x, bottom, GREY, 0.3), _text(x, bottom + 18, f"{tick:g}")]
    for tick in ticks[1]:
        y = up.at(tick)
        parts += [_line(60, y, right, y, GREY, 0.3), _text(52, y + 4, f"{tick:g}", "end")]
    parts.append(_text((60 + right) / 2, height - 10, labels[0]))
    taken: list[Box] = [_around(across.at(p.across[0]), up.at(p.up[0])) for p in points]
    for point in points:
        colour = COPPER if point.label == mark else GREY
        x, y = across.at(point.across[0]), up.at(point.up[0])
        strength = 0.5 if point.faint else 1
        parts.append(_line(across.at(point.across[1]), y, across.at(point.across[2]), y, colour))
        parts.append(_line(x, up.at(point.up[1]), x, up.at(point.up[2]), colour))
        parts.append(f'<circle cx="{x}" cy="{y}" r="4.5" fill="{colour}" opacity="{strength}"/>')
        parts.append(_label(point.label, x, y, colour, taken))
    _write(name, height, title, parts)


Box = tuple[float, float, float, float]  # left, top, right, bottom


def _around(x: float, y: float) -> Box:
    return x - 4, y - 4, x + 4, y + 4


def _label(said: str, x: float, y: float, colour: str, taken: list[Box]) -> str:
    """The label where it covers no other one, or else above on the right."""
    width = 6.6 * len(said)
    for off in (0, 12, 24, 36):
        for down in (-6 - off, 16 + off):
            for anchor, left in (("start", x + 7), ("end", x - 7 - width)):
                box = (left, y + down - 10, left + width, y + down + 2)
                if not any(_overlap(box, other) for other in taken):
                    taken.append(box)
                    return _text(
                        left if anchor == "start" else x - 7, y + down, said, anchor, colour=colour
                    )
    return _text(x + 7, y - 6, said, "start", colour=colour)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _dot(x: float, y: float, colour: str) -> list[str]:
    return [f'<circle cx="{x}" cy="{y}" r="4.5" fill="{colour}"/>']


def _line(x: float, y: float, x2: float, y2: float, colour: str, opacity: float = 1) -> str:
    where = f'x1="{x}" y1="{y}" x2="{x2}" y2="{y2}"'
    return f'<line {where} stroke="{colour}" stroke-width="1.5" opacity="{opacity}"/>'


def _text(
    x: float, y: float, said: str, anchor: str = "middle", bold: bool = False, colour: str = GREY
) -> str:
    weight = ' font-weight="600"' if bold else ""
    where = f'x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {where}{weight}>{escape(said)}</text>"


def _write(name: str, height: float, title: str, parts: Sequence[str]) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'font-family="Inter, system-ui, sans-serif" font-size="12"><title>{escape(title)}</title>'
    )
    (IMAGES / f"{name}.svg").write_text("\n".join([head, *parts, "</svg>"]) + "\n")


def per_seed(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """What each seed gave, rounded, for the JSON."""
    return {
        arm: [{key: round(value, 4) for key, value in row.items()} for row in found]
        for arm, found in rows.items()
    }
