"""A lineage as a picture: boxes in layers from the first cause down, lines between them.

Layers by the longest way from a box without a cause; a line that passes layers gets a bend in each,
and each layer is sorted by where its neighbours stand (Sugiyama's method, four sweeps). All on the
server: the page gets coordinates and draws them as SVG, without a script.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

WIDTH, HEIGHT = 184, 60
GAP_X, GAP_Y, BEND = 20, 44, 24
MARGIN = 8
LINE = 24  # characters of a title that fit in a line
SWEEPS = 4


@dataclass
class Box:
    """Something on the way; `kind` is its class on the page (source, version, checkpoint …)."""

    key: str
    kind: str
    title: str
    about: str = ""
    url: str = ""
    mark: str = ""
    x: float = 0
    y: float = 0

    @property
    def lines(self) -> list[tuple[float, str]]:
        """The title on at most two lines, each with its height in the box."""
        wrapped = textwrap.wrap(self.title, LINE, max_lines=2, placeholder="…") or [""]
        top = {1: 26, 2: 19}[len(wrapped)] if self.about else {1: 34, 2: 26}[len(wrapped)]
        return [(self.y + top + 15 * number, line) for number, line in enumerate(wrapped)]

    @property
    def about_y(self) -> float:
        return self.y + (47 if len(self.lines) == 1 else 51)

    @property
    def middle(self) -> float:
        return self.x + WIDTH / 2


@dataclass
class Line:
    """From one box to another, with what it says."""

    begin: Box
    end: Box
    words: str
    path: str = ""


@dataclass
class Picture:
    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    width: float = 0
    height: float = 0
    box_width: int = WIDTH
    box_height: int = HEIGHT

    def box(self, box: Box) -> Box:
        """The box, or the one that has its key already."""
        known = next((one for one in self.boxes if one.key == box.key), None)
        if known is None:
            self.boxes.append(box)
        return known or box

    def line(self, begin: Box, end: Box, words: str) -> None:
        if not any(one.begin is begin and one.end is end for one in self.lines):
            self.lines.append(Line(begin, end, words))

    def laid_out(self) -> Picture:
        """Every box with its place and every line with its path."""
        if self.boxes:
            _lay_out(self)
        return self


@dataclass(eq=False)
class _Spot:
    """A place in a layer: a box, or a bend of a line."""

    layer: int
    box: Box | None = None
    x: float = 0  # of its middle
    order: float = 0

    @property
    def width(self) -> int:
        return WIDTH if self.box else BEND


def _lay_out(picture: Picture) -> None:
    depth = _depths(picture)
    spots = {box.key: _Spot(depth[box.key], box) for box in picture.boxes}
    layers: list[list[_Spot]] = [[] for _ in range(max(depth.values()) + 1)]
    for spot in spots.values():
        layers[spot.layer].append(spot)
    chains = [_chain(line, spots, layers) for line in picture.lines]
    _sort(layers, chains)
    picture.width = _spread(layers)
    picture.height = 2 * MARGIN + len(layers) * HEIGHT + (len(layers) - 1) * GAP_Y
    for spot in spots.values():
        assert spot.box is not None
        spot.box.x = spot.x - WIDTH / 2
        spot.box.y = _top(spot.layer)
    for line, chain in zip(picture.lines, chains, strict=True):
        line.path = _path(chain)


def _depths(picture: Picture) -> dict[str, int]:
    """The longest way to each box. A circle, which the record cannot hold, would end here too."""
    depth = {box.key: 0 for box in picture.boxes}
    for _ in picture.boxes:
        for line in picture.lines:
            least = depth[line.begin.key] + 1
            depth[line.end.key] = max(depth[line.end.key], least)
    for box in picture.boxes:  # a box without a cause stands right above what it leads to
        below = [depth[line.end.key] for line in picture.lines if line.begin is box]
        if below and not any(line.end is box for line in picture.lines):
            depth[box.key] = min(below) - 1
    return depth


def _chain(line: Line, spots: dict[str, _Spot], layers: list[list[_Spot]]) -> list[_Spot]:
    """The spots that a line passes."""
    begin, end = spots[line.begin.key], spots[line.end.key]
    bends = [_Spot(layer) for layer in range(begin.layer + 1, end.layer)]
    for bend in bends:
        layers[bend.layer].append(bend)
    return [begin, *bends, end]


def _sort(layers: list[list[_Spot]], chains: Sequence[Sequence[_Spot]]) -> None:
    """Order each layer by the mean place of its neighbours, down and up again."""
    beside: dict[_Spot, list[_Spot]] = {spot: [] for layer in layers for spot in layer}
    for chain in chains:
        for upper, lower in pairwise(chain):
            beside[upper].append(lower)
            beside[lower].append(upper)
    for layer in layers:
        _number(layer)
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            for spot in layer:
                near = [one.order for one in beside[spot]]
                spot.x = sum(near) / len(near) if near else spot.order
            layer.sort(key=lambda spot: spot.x)
            _number(layer)


def _number(layer: list[_Spot]) -> None:
    """Places within a layer as shares, so that layers of unlike length compare."""
    for number, spot in enumerate(layer):
        spot.order = (number + 0.5) / len(layer)


def _spread(layers: list[list[_Spot]]) -> float:
    """Give every spot its middle; the widest layer decides the width, the others are centred."""
    widths = [sum(spot.width for spot in row) + GAP_X * (len(row) - 1) for row in layers]
    widest = max(widths) + 2 * MARGIN
    for row, width in zip(layers, widths, strict=True):
        left = (widest - width) / 2
        for spot in row:
            spot.x = left + spot.width / 2
            left += spot.width + GAP_X
    return widest


def _top(layer: int) -> float:
    return MARGIN + layer * (HEIGHT + GAP_Y)


def _path(chain: Sequence[_Spot]) -> str:
    """From the foot of the first box to the head of the last, bent in the gaps between layers."""
    first = chain[0]
    parts = [f"M{first.x:.0f} {_top(first.layer) + HEIGHT:.0f}"]
    for upper, lower in pairwise(chain):
        begin, end = _top(upper.layer) + HEIGHT, _top(lower.layer)
        half = (begin + end) / 2
        if upper.box is None:
            parts.append(f"V{begin:.0f}")
        parts.append(f"C{upper.x:.0f} {half:.0f} {lower.x:.0f} {half:.0f} {lower.x:.0f} {end:.0f}")
    return "".join(parts)
