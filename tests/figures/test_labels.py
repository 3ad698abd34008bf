"""Direct labels: off each other, off the marks, inside the axes, and at the same place every time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from adept_bench.figures.labels import Point, place_labels
from adept_bench.figures.style import look, new_figure


def placed(points, bars=()):
    with look():
        figure = new_figure(height=4.8)
        axes = figure.subplots()
        axes.set(xlim=(0, 100), ylim=(0, 100))
        place_labels(axes, points, bars)
        renderer = FigureCanvasAgg(figure).get_renderer()
        boxes = {text.get_text(): text.get_window_extent(renderer) for text in axes.texts}
        return axes, boxes, renderer


def crowd(count, spread, seed=0):
    random = np.random.default_rng(seed)
    return [
        Point(*(50 + spread * random.standard_normal(2)), 3.0, f"a method's name {index}") for index in range(count)
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("count", "spread"), [(7, 20), (12, 8), (16, 8)])
def test_labels_do_not_overlap(count, spread, seed):
    points = crowd(count, spread, seed)
    axes, boxes, renderer = placed(points)
    assert len(boxes) == count
    for one, other in itertools.combinations(boxes.values(), 2):
        assert not one.padded(-0.5).overlaps(other.padded(-0.5))
    frame = axes.get_window_extent(renderer)
    assert all(
        frame.containsx(box.x0) and frame.containsx(box.x1) and frame.containsy(box.y0) for box in boxes.values()
    )


def test_a_lone_label_is_beside_its_mark():
    axes, boxes, _ = placed([Point(50, 50, 3.0, "alone")])
    x, y = axes.transData.transform((50, 50))
    (box,) = boxes.values()
    distance = np.hypot(max(box.x0 - x, 0, x - box.x1), max(box.y0 - y, 0, y - box.y1))
    assert 3 < distance < 12
    assert not axes.lines


def test_labels_of_coinciding_points_have_leader_lines():
    axes, boxes, _ = placed([Point(50, 50, 3.0, f"one of several {index}") for index in range(10)])
    assert len(boxes) == 10
    assert axes.lines


def test_the_same_points_give_the_same_places():
    first, second = ({name: tuple(box.extents) for name, box in placed(crowd(12, 5))[1].items()} for _ in range(2))
    assert first == second
