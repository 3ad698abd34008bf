"""Colours: one a method, told apart by colour-blind eyes too; settings that do not leak."""

from __future__ import annotations

import itertools

import matplotlib
import numpy as np
import pytest

from adept_bench.config.names import METHOD_NAMES
from adept_bench.figures import style
from adept_bench.figures.registry import FIGURES

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB
BLIND = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
CLEAR = 12.0
"""Distance in CIELAB from which areas and lines are plainly other colours."""


def lab(colour: str, sight: str) -> np.ndarray:
    channels = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(BLIND[sight]) @ linear, 0, 1)
    ratio = XYZ @ seen / (XYZ @ np.ones(3))
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def test_lab_of_known_colours():
    assert lab("#FFFFFF", "normal") == pytest.approx([100, 0, 0], abs=0.01)
    assert lab("#FF0000", "normal") == pytest.approx([53.24, 80.09, 67.20], abs=0.05)


@pytest.mark.parametrize("sight", BLIND)
def test_methods_are_told_apart(sight):
    for one, other in itertools.combinations(style.COLOURS, 2):
        distance = np.linalg.norm(lab(style.COLOURS[one], sight) - lab(style.COLOURS[other], sight))
        assert distance > CLEAR, (one, other, distance)


def test_colour_is_never_the_only_cue():
    looks = {(style.colour(name), style.marker(name)) for name in METHOD_NAMES}
    assert len(looks) == len(METHOD_NAMES)
    core = list(style.COLOURS)
    assert len({(style.marker(name), style.hatch(name)) for name in core}) == len(core)


@pytest.mark.parametrize(
    ("method", "shown"),
    [
        ("adept", "ADEPT"),
        ("full", "full CPT"),
        ("adept-k4", "ADEPT, k = 4"),
        ("adept-refresh50", "ADEPT, refresh every 50 steps"),
        ("adept-refresh-once", "ADEPT, rates never refreshed"),
        ("adept-probe16", "ADEPT, 16 probe documents"),
        ("llama-pro-k4", "LLaMA-Pro, k = 4"),
        ("adept-with-salt", "ADEPT, with salt"),
        ("mine", "mine"),
    ],
)
def test_labels(method, shown):
    assert style.label(method) == shown


def test_labels_are_distinct():
    names = [*METHOD_NAMES, "adept-k1", "adept-k4", "adept-random", "adept-highest", "adept-probe-text"]
    assert len({style.label(name) for name in names}) == len(names)


def test_variants_have_the_colour_of_their_method():
    assert style.colour("adept-k4") == style.colour("adept-no-stage1") == style.colour("adept")
    assert style.colour("llama-pro-k4") == style.COLOURS["llama-pro"]
    assert style.colour("mine") == style.OTHER


def test_settings_hold_inside_only():
    before = dict(matplotlib.rcParams)
    matplotlib.rcParams["font.size"] = 31
    try:
        with style.look():
            assert matplotlib.rcParams["font.size"] == style.SETTINGS["font.size"]
            assert matplotlib.rcParams["lines.markersize"] == matplotlib.rcParamsDefault["lines.markersize"]
        assert matplotlib.rcParams["font.size"] == 31
    finally:
        matplotlib.rcParams["font.size"] = before["font.size"]
    assert dict(matplotlib.rcParams) == before


def test_letters_are_readable():
    sizes = {name: value for name, value in style.SETTINGS.items() if name.endswith(("size", "fontsize"))}
    assert sizes
    assert min(value for value in sizes.values() if isinstance(value, int | float)) >= 8


def test_seeds_in_words(invented):
    assert style.seeds_in_words(invented("full", seeds=(4,))) == "1 seed"
    assert style.seeds_in_words(invented("full adept")) == "3 seeds"
    assert style.seeds_in_words([*invented("full"), *invented("adept", seeds=(0,))]) == "1 to 3 seeds"


def test_every_figure_is_registered_under_its_name():
    assert all(name == kind.name and kind.title and kind.paper for name, kind in FIGURES.items())
    assert len(FIGURES) >= 16


def test_positions_are_rounded():
    """The layout's solver gives its last bits by addresses in memory; the same figure is to be the same bytes."""
    with style.look():
        figure = style.new_figure()
        above, below = figure.subfigures(2, 1, height_ratios=[1, 2])
        above.subplots(1, 3)[0].set_ylabel("a third")
        below.subplots()
        below.suptitle("a title")
        style.lay_out(figure)
    boxes = [axes.get_position(original=True).get_points() for axes in figure.axes]
    boxes += [part.bbox_relative.get_points() for part in figure.subfigs]
    for points in [*boxes, *(text.get_position() for part in figure.subfigs for text in part.texts)]:
        assert (np.round(points, 6) == points).all()
