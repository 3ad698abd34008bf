"""One look for all figures: a colour a method, everywhere the same, distinguishable with colour-blind eyes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette; a variant of a method has the method's colour and another marker
COLOURS = {
    "vanilla": "#000000",
    "full": "#D55E00",
    "replay": "#E69F00",
    "llama-pro": "#56B4E9",
    "frozen": "#009E73",
    "lora": "#CC79A7",
    "adept": "#0072B2",
}
MARKERS = {"adept-no-stage1": "v", "adept-no-stage2": "^", "adept-uniform-expansion": "s", "adept-as-released": "D"}
OTHER = "#777777"


def colour(method: str) -> str:
    """The method's colour; variants of ADEPT share ADEPT's."""
    return COLOURS.get(method, COLOURS["adept"] if method.startswith("adept") else OTHER)


def marker(method: str) -> str:
    """The method's marker: a disc, and another shape for a variant."""
    return MARKERS.get(method, "o")


def clean(axes: Axes) -> None:
    """Take away what carries no information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
