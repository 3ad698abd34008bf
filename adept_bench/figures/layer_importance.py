"""Importance of each layer, general and domain text, with the k lowest marked (paper, Figure 2 left)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adept_bench.analysis.paired import Estimate
from adept_bench.analysis.pilot import Profile, corpora_in_order, layer_profiles, made_from, together
from adept_bench.analysis.pilot import used_profiles as used
from adept_bench.analysis.rankings import mean_within, share_lowest, spearman
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value
from adept_bench.figures.layers import (
    CHOSEN,
    CHOSEN_HATCH,
    OTHER_LAYER,
    layer_ticks,
    share_strip,
    value_axis,
    whisker,
)
from adept_bench.figures.style import INK, clean, heading, new_figure
from adept_bench.models.selection import lowest
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRIC = "masking"


def draw(cells: Sequence[Cell]) -> Drawing:
    """Bars a layer: loss without the layer minus loss, nats a token, mean over seeds; a panel a corpus.

    Raises MissingError where no cell holds a layer importance by masking.
    """
    profiles = [one for one in layer_profiles(cells) or used(cells) if one.metric == METRIC]
    if not profiles:
        raise MissingError(
            "layer_importance: no cell holds a layer importance by masking; expected `analyses.layers` of a vanilla "
            "cell of suite pilot, or `probe.layers_general` of a cell of adept"
        )
    shown = together(one.cell for one in profiles)
    k, layers = same_shape(profiles)
    corpora = corpora_in_order(one.corpus for one in profiles)
    figure = new_figure(height=0.5 + 2.3 * len(corpora))
    parts = figure.subplots(2 * len(corpora), 1, squeeze=False, height_ratios=[6, 1] * len(corpora))[:, 0]
    means = {corpus: _means([one for one in profiles if one.corpus == corpus]) for corpus in corpora}
    every = [value for one in profiles for value in one.importance]
    ends = [end for some in means.values() for mean in some for end in (mean.low, mean.high) if end is not None]
    rows: list[list[Value]] = []
    for index, corpus in enumerate(corpora):
        mine = [one for one in profiles if one.corpus == corpus]
        bars, strip = parts[2 * index], parts[2 * index + 1]
        shares = share_lowest([one.importance for one in mine], k)
        axis = value_axis(bars, every, ends)
        _bars(bars, mine, means[corpus], k)
        bars.set_title(_panel_title(mine, means[corpus]))
        bars.tick_params(labelbottom=False)
        texts = [f"{round(share * len(mine))}/{len(mine)}" for share in shares] if layers <= 16 else None
        share_strip(strip, shares, f"among\n{k} lowest", texts)
        for axes in (bars, strip):
            layer_ticks(axes, layers)
        rows += _rows(corpus, mine, means[corpus], shares)
    parts[-1].set_xlabel("layer of the base model")
    heading(figure, shown)
    missing = [name for name in ("general", "domain") if name not in corpora]
    return Drawing(
        data=Table(["corpus", "layer", "seed", "importance_nats", "low", "high", "share_among_lowest"], rows),
        caption=_caption(shown, k, axis, corpora),
        cells=shown,
        figure=figure,
        notes=[f"layer importance on {name} text: no cell holds it" for name in missing],
    )


def same_shape(profiles: Sequence[Profile]) -> tuple[int, int]:
    """(k, layers) that all have in common; raises MissingError where they differ."""
    shapes = {(one.k, len(one.importance)) for one in profiles}
    if len(shapes) > 1:
        raise MissingError(f"layer importances of different (k, layers): {sorted(shapes)}; expected one of both")
    return shapes.pop()


def _means(profiles: Sequence[Profile]) -> list[Estimate]:
    layers = range(len(profiles[0].importance))
    return [mean_within({one.seed: one.importance[layer] for one in profiles}) for layer in layers]


def _bars(axes: Axes, profiles: Sequence[Profile], means: Sequence[Estimate], k: int) -> None:
    values = [mean.value for mean in means]
    low = set(lowest(values, k))
    for layer, mean in enumerate(means):
        axes.bar(
            layer,
            mean.value,
            width=0.8,
            color=CHOSEN if layer in low else OTHER_LAYER,
            hatch=CHOSEN_HATCH if layer in low else "",
            edgecolor="white" if layer in low else "#9a9a9a",
            linewidth=0.5,
            zorder=2,
        )
        if mean.low is not None and mean.high is not None:
            whisker(axes, layer, mean.low, mean.high)
        _points(axes, layer, [one.importance[layer] for one in profiles])
    clean(axes)
    axes.grid(False, axis="x")
    axes.set_ylabel("importance, nats a token")


def _points(axes: Axes, layer: int, values: Sequence[float]) -> None:
    if len(values) < 2:
        return
    places = [layer + 0.5 * ((index + 0.5) / len(values) - 0.5) for index in range(len(values))]
    axes.scatter(places, values, s=9, color="white", edgecolor=INK, linewidth=0.7, zorder=4)


def _panel_title(profiles: Sequence[Profile], means: Sequence[Estimate]) -> str:
    losses = [one.base_loss for one in profiles if one.base_loss is not None]
    words = [f"{profiles[0].corpus} text"]
    if losses:
        words.append(f"loss of the whole model {sum(losses) / len(losses):.2f} nats a token")
    depth = spearman([mean.value for mean in means], range(len(means)))
    if depth is not None:
        words.append(f"rank correlation with depth {depth:.2f}".replace("-", "\N{MINUS SIGN}"))
    return "; ".join(words)


def _rows(
    corpus: str, profiles: Sequence[Profile], means: Sequence[Estimate], shares: Sequence[float]
) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for layer, mean in enumerate(means):
        rows.append([corpus, layer, "mean", mean.value, mean.low, mean.high, shares[layer]])
        for one in profiles:
            rows.append([corpus, layer, one.seed, one.importance[layer], None, None, float(layer in one.chosen())])
    return rows


def _caption(cells: Sequence[Cell], k: int, axis: str, corpora: Sequence[str]) -> str:
    several = len({cell.seed for cell in cells}) > 1
    return (
        "How much the loss rises when a layer is left out, in nats a token, for every layer of the base model, "
        f"on {' and on '.join(f'{name} text' for name in corpora)}. "
        + (
            "Bars: mean over seeds; circles: single seeds; lines: 95% t intervals over seeds (a triangle: "
            "it goes on beyond the axis). "
            if several
            else ""
        )
        + f"{axis} Hatched: the {k} lowest of the {'mean' if several else 'seed'}; the strip below each panel shows "
        f"the share of seeds in which a layer is among the {k} lowest, which ADEPT copies when it goes by this text. "
        f"Below 0 the model does better without the layer. {made_from(cells)}"
    )


KIND = FigureKind(
    name="layer_importance",
    title="Importance of each layer for general and for domain text",
    paper="Figure 2, left",
    draw=draw,
)
