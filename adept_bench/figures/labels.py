"""Direct labels that cover neither each other nor the data: each point's label goes to the best of many places near it.

A plain greedy search with a few rounds of correction; no randomness, so that the same data give the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adept_bench.figures.style import GREY, INK, lay_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Box = tuple[float, float, float, float]
"""Left, bottom, right, top, in pixels."""

ANGLES = tuple(index * math.pi / 8 for index in range(16))
GAPS = (3.0, 8.0, 15.0, 24.0, 36.0, 50.0, 68.0, 90.0, 115.0)
"""Pixels between the edge of a mark and its label."""
LEADER = 13.0
"""Gap from which a line leads from label to mark."""
ROUNDS = 4
OVER_LABEL, OVER_MARK, OVER_BAR, OUTSIDE = 10.0, 12.0, 0.7, 50.0
"""Cost of a square pixel of a label over another one, a mark or a bar, and beyond the axes."""
FAR = 2.0
"""Cost of a pixel of distance."""
CROSSED = 250.0
"""Cost of a leader line through another label or mark."""


@dataclass(frozen=True)
class Point:
    """What is labelled: in data coordinates, with the radius of its mark in points (1/72 inch)."""

    x: float
    y: float
    radius: float
    text: str


@dataclass(frozen=True)
class _Place:
    box: Box
    gap: float
    start: tuple[float, float]
    """Where a leader line leaves the mark."""
    end: tuple[float, float]


def place_labels(axes: Axes, points: Sequence[Point], bars: Sequence[tuple[float, float, float, float]] = ()) -> None:
    """Write each point's text beside it; `bars`: lines (x, y, x, y) in data coordinates to stay off where possible.

    Call it when axes, limits and layout are as they will be; the labels take no part in the layout.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = axes.get_figure(root=True)
    if figure is None or not points:
        return
    renderer = FigureCanvasAgg(figure).get_renderer()
    lay_out(figure)
    scale = figure.dpi / 72
    behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.3}
    texts = [axes.text(point.x, point.y, point.text, fontsize=8, color=INK, zorder=5, bbox=behind) for point in points]
    sizes = [(box.width, box.height) for box in (text.get_window_extent(renderer) for text in texts)]
    centres = [tuple(axes.transData.transform((point.x, point.y))) for point in points]
    marks = [_around(centre[0], centre[1], point.radius * scale) for centre, point in zip(centres, points, strict=True)]
    lines = [_line_box(axes, bar) for bar in bars]
    inside = axes.get_window_extent(renderer)
    frame = (inside.x0, inside.y0, inside.x1, inside.y1)
    candidates = [
        _candidates(centre, point.radius * scale, size)
        for centre, point, size in zip(centres, points, sizes, strict=True)
    ]
    for text, place in zip(texts, _choose(candidates, marks, lines, frame), strict=True):
        x, y = axes.transData.inverted().transform((place.box[0], place.box[1]))
        text.set_position((x, y))
        text.set(horizontalalignment="left", verticalalignment="bottom", in_layout=False)
        if place.gap >= LEADER:
            ends = axes.transData.inverted().transform([place.start, place.end])
            (line,) = axes.plot(ends[:, 0], ends[:, 1], color=GREY, linewidth=0.6, zorder=2.5)
            line.set_in_layout(False)


def _choose(
    candidates: Sequence[Sequence[_Place]], marks: Sequence[Box], lines: Sequence[Box], frame: Box
) -> list[_Place]:
    fixed = [[_fixed_cost(place, index, marks, lines, frame) for place in own] for index, own in enumerate(candidates)]
    # those with the fewest good places first
    order = sorted(range(len(candidates)), key=lambda index: -sorted(fixed[index])[min(8, len(fixed[index]) - 1)])
    chosen: dict[int, _Place] = {}
    for _ in range(ROUNDS):
        for index in order:
            others = [place for other, place in chosen.items() if other != index]
            chosen[index] = _cheapest(fixed[index], candidates[index], others)
    return [chosen[index] for index in range(len(candidates))]


def _cheapest(fixed: Sequence[float], candidates: Sequence[_Place], others: Sequence[_Place]) -> _Place:
    """The place of the lowest cost beside the others, the first of equals."""
    best, found = math.inf, candidates[0]
    for cost, place in sorted(zip(fixed, candidates, strict=True), key=lambda pair: pair[0]):
        if cost >= best:  # others only add to it
            break
        whole = cost + sum(_between(place, other) for other in others)
        if whole < best:
            best, found = whole, place
    return found


def _fixed_cost(place: _Place, index: int, marks: Sequence[Box], lines: Sequence[Box], frame: Box) -> float:
    """What a place costs whatever the other labels do."""
    cost = FAR * place.gap
    cost += OUTSIDE * (_area(place.box) - _overlap(place.box, frame))
    cost += OVER_BAR * sum(_overlap(place.box, line) for line in lines)
    cost += OVER_MARK * sum(_overlap(place.box, mark) for mark in marks)
    if place.gap >= LEADER:
        cost += CROSSED * sum(_crosses(place, mark) for other, mark in enumerate(marks) if other != index)
    return cost


def _between(one: _Place, other: _Place) -> float:
    cost = OVER_LABEL * _overlap(_padded(one.box, 1.5), _padded(other.box, 1.5))
    if one.gap >= LEADER and _crosses(one, other.box):
        cost += CROSSED
    if other.gap >= LEADER and _crosses(other, one.box):
        cost += CROSSED
    if min(one.gap, other.gap) >= LEADER and _lines_cross(one, other):
        cost += CROSSED
    return cost


def _lines_cross(one: _Place, other: _Place) -> bool:
    """Whether the two leader lines cut each other."""

    def side(of: tuple[float, float], line: _Place) -> bool:
        (x, y), (to_x, to_y) = line.start, line.end
        return (to_x - x) * (of[1] - y) > (to_y - y) * (of[0] - x)

    return side(one.start, other) != side(one.end, other) and side(other.start, one) != side(other.end, one)


def _candidates(centre: tuple[float, ...], radius: float, size: tuple[float, float]) -> list[_Place]:
    """The label touches a circle around the mark with the side or corner that faces it."""
    found = []
    for gap in GAPS:
        for angle in ANGLES:
            across, up = math.cos(angle), math.sin(angle)
            x, y = centre[0] + (radius + gap) * across, centre[1] + (radius + gap) * up
            left, bottom = x - size[0] * (1 - across) / 2, y - size[1] * (1 - up) / 2
            box = (left, bottom, left + size[0], bottom + size[1])
            start = (centre[0] + radius * across, centre[1] + radius * up)
            found.append(_Place(box, gap, start, (x, y)))
    return found


def _crosses(place: _Place, box: Box, steps: int = 12) -> bool:
    """Whether the leader line runs through the box."""
    (x, y), (to_x, to_y) = place.start, place.end
    return any(
        box[0] < x + (to_x - x) * step / steps < box[2] and box[1] < y + (to_y - y) * step / steps < box[3]
        for step in range(steps + 1)
    )


def _line_box(axes: Axes, bar: tuple[float, float, float, float]) -> Box:
    (x, y), (to_x, to_y) = axes.transData.transform([bar[:2], bar[2:]])
    return _padded((min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y)), 1.5)


def _around(x: float, y: float, radius: float) -> Box:
    return x - radius, y - radius, x + radius, y + radius


def _padded(box: Box, by: float) -> Box:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _overlap(one: Box, other: Box) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    up = min(one[3], other[3]) - max(one[1], other[1])
    return across * up if across > 0 and up > 0 else 0.0
