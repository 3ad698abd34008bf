"""What figures over layers share: an axis on which 0.01 and 10 nats are readable, layer ticks, a strip of shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from adept_bench.figures.style import COLOURS, GREY, INK, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHOSEN = COLOURS["adept"]
"""Layers that ADEPT would copy."""
CHOSEN_HATCH = "//////"
OTHER_LAYER = "#c4c4c4"
CORPUS_MARKERS = {"general": "o", "domain": "s"}
CORPUS_LINES = {"general": "-", "domain": "--"}
CORPUS_COLOURS = {"general": INK, "domain": "#8a8a8a"}
ROOM = 0.03  # of the axis, from the outermost values to its ends: more than half a mark
WIDE = 30.0  # a largest value so many times the median gets a logarithmic axis


def value_axis(axes: Axes, values: Sequence[float], ends: Sequence[float] = ()) -> str:
    """Set the y axis for `values`, and say in one sentence what it is; `ends` of intervals widen it within reason.

    Linear, or, where the largest value is far beyond the median (layer 0 of most models), linear up to a power of ten
    and logarithmic beyond, with the linear part shaded.
    """
    size = np.abs(np.asarray(values, dtype=np.float64))
    middle, largest = float(np.median(size)), float(size.max())
    low, high = min(float(np.min(values)), 0.0), float(np.max(values))
    if middle == 0.0 or largest < WIDE * middle:
        low, high = min([low, *ends]), max([high, *ends, 1e-12])
        axes.set_ylim(1.12 * low, 1.12 * high)
        _make_room(axes, values)
        axes.axhline(0, color=GREY, linewidth=0.7, zorder=1)
        return "The axis is linear."
    threshold = 10.0 ** math.ceil(math.log10(middle) - 1e-9)
    axes.set_yscale("symlog", linthresh=threshold, linscale=1.2)
    within = [end for end in ends if end > -10 * threshold]
    axes.set_ylim(min([1.25 * low, -0.25 * threshold, *(1.1 * end for end in within)]), 1.6 * max(high, threshold))
    _make_room(axes, values)
    axes.axhspan(max(-threshold, axes.get_ylim()[0]), threshold, color="#f4f4f4", linewidth=0, zorder=0)
    axes.axhline(0, color=GREY, linewidth=0.7, zorder=1)
    _symlog_ticks(axes, threshold)
    return f"The axis is linear up to {threshold:g} either way (shaded) and logarithmic beyond."


def _make_room(axes: Axes, values: Sequence[float]) -> None:
    """Widen the y axis where its ends are too close to the outermost values for marks; an end at 0, of bars, stays."""
    scale = axes.yaxis.get_transform()
    bottom, top, least, most = scale.transform(np.array([*axes.get_ylim(), min(values), max(values)]))
    room = ROOM * (top - bottom)
    if least < 0 and least - room < bottom:
        axes.set_ylim(bottom=scale.inverted().transform([least - room])[0])
    if most + room > top:
        axes.set_ylim(top=scale.inverted().transform([most + room])[0])


def _symlog_ticks(axes: Axes, threshold: float) -> None:
    bottom, top = axes.get_ylim()
    powers = [threshold * 10.0**step for step in range(20) if threshold * 10.0**step <= max(top, -bottom)]
    inside = [threshold / 2]
    ticks = [sign * one for one in (*inside, *powers) for sign in (-1, 1)] + [0.0]
    ticks = sorted(tick for tick in ticks if bottom <= tick <= top)
    axes.set_yticks(ticks, [f"{tick:g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
    axes.minorticks_off()


def whisker(axes: Axes, place: float, low: float, high: float, colour: str = INK) -> None:
    """An interval as an upright line; a triangle at the edge of the axis where it goes on beyond."""
    bottom, top = axes.get_ylim()
    axes.plot([place, place], [max(low, bottom), min(high, top)], color=colour, linewidth=0.9, zorder=3)
    for end, edge, shape in ((bottom - low, bottom, "v"), (high - top, top, "^")):
        if end > 0:
            axes.plot([place], [edge], shape, color=colour, markersize=4, clip_on=False, zorder=3)


def layer_ticks(axes: Axes, layers: int) -> None:
    """A number under every layer, or under every second where there are many."""
    step = 1 if layers <= 24 else 2
    axes.set_xticks(range(0, layers, step))
    axes.set_xlim(-0.7, layers - 0.3)


def share_strip(axes: Axes, shares: Sequence[float], about: str, texts: Sequence[str] | None = None) -> None:
    """A low bar a layer from 0 to 1; `texts`, where they fit, stand in the strip as well."""
    places = range(len(shares))
    axes.bar(places, [1.0] * len(shares), width=0.8, color="none", edgecolor=PALE, linewidth=0.6)
    axes.bar(places, shares, width=0.8, color=CHOSEN, edgecolor="white", hatch=CHOSEN_HATCH, linewidth=0)
    if texts is not None:
        for place, (share, text) in enumerate(zip(shares, texts)):
            if share > 0:
                box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
                axes.text(place, 0.5, text, ha="center", va="center", fontsize=8, color=INK, bbox=box)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1], ["0", "1"])
    axes.set_ylabel(about, rotation=0, ha="right", va="center", fontsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="both", length=0)
