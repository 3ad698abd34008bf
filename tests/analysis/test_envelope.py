"""What a path attains, against a plain search over dense points of its lines."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adept_bench.analysis.envelope import attained, attained_or_best

shares = st.integers(0, 20).map(lambda value: value / 20)
paths = st.lists(st.tuples(shares, shares), min_size=2, max_size=7)


def dense(path, level, steps=2000):
    """The highest point with enough acquisition among very many on the lines, or None."""
    found = []
    for (x0, y0), (x1, y1) in itertools.pairwise(path):
        for share in np.linspace(0, 1, steps + 1):
            if x0 + share * (x1 - x0) >= level - 1e-12:
                found.append(y0 + share * (y1 - y0))
    return max(found, default=None)


def of(path, levels):
    across, up = np.array(path, dtype=float).T
    return attained(across, up, np.atleast_1d(np.asarray(levels, dtype=float)))


@settings(deadline=None, max_examples=60)
@given(path=paths, level=st.floats(0, 1))
def test_against_dense_points(path, level):
    plain, (found,) = dense(path, level, 400), of(path, level)
    if plain is None:
        assert np.isnan(found)
    else:
        steepest = max(abs(y1 - y0) for (_, y0), (_, y1) in itertools.pairwise(path))
        assert plain - 1e-9 <= found <= plain + steepest / 400 + 1e-9


def test_by_hand():
    # learns and forgets, then a rate that learns and keeps more than a line before it
    path = [(0.1, 0.9), (0.3, 0.8), (0.5, 0.4), (0.7, 0.6), (0.6, 0.1)]
    found = of(path, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.7, 0.71])
    assert found == pytest.approx([0.9, 0.9, 0.85, 0.8, 0.6, 0.6, 0.6, 0.6, np.nan], nan_ok=True)


@settings(deadline=None, max_examples=60)
@given(path=paths)
def test_never_rises_and_ends_at_the_best(path):
    best = max(x for x, _ in path)
    found = of(path, np.linspace(0, best, 30))
    assert not np.isnan(found).any()
    assert (np.diff(found) <= 1e-12).all()
    assert np.isnan(of(path, best + 1e-9)).all()


@settings(deadline=None, max_examples=60)
@given(path=paths, share=st.floats(0, 1), at=st.integers(0, 5))
def test_a_point_on_a_line_or_a_dominated_one_at_the_end_changes_nothing(path, share, at):
    levels = np.linspace(0, 1, 21)
    at = min(at, len(path) - 2)
    (x0, y0), (x1, y1) = path[at], path[at + 1]
    between = (x0 + share * (x1 - x0), y0 + share * (y1 - y0))
    finer = [*path[: at + 1], between, *path[at + 1 :]]
    # the new point's last bit may lie on the other side of a level
    near = [level for level in levels if abs(level - between[0]) > 1e-6]
    assert of(finer, near) == pytest.approx(of(path, near), nan_ok=True)
    x, y = path[-1]
    assert of([*path, (x / 2, y / 2)], levels) == pytest.approx(of(path, levels), nan_ok=True)


def test_rows_are_paths_of_their_own_and_a_level_above_the_best_can_be_read_at_it():
    across = np.array([[[0.0, 0.5, 0.8], [0.0, 0.4, 0.2]]])
    up = np.array([[[0.9, 0.7, 0.2], [0.9, 0.6, 0.8]]])
    levels = np.array([0.1, 0.6, 0.9])
    apart = [[attained(across[0, row], up[0, row], levels) for row in (0, 1)]]
    assert attained(across, up, levels) == pytest.approx(np.array(apart), nan_ok=True)
    assert attained_or_best(across, up, levels)[0, :, 2] == pytest.approx([0.2, 0.6])
