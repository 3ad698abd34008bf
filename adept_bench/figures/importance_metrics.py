"""Four layer importances compared: the order each gives, and how far the orders agree (paper, Table 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from adept_bench.analysis.pilot import Profile, in_words, layer_profiles, made_from, together
from adept_bench.analysis.rankings import Agreement, agreement, mean_within, ranks, share_lowest
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value
from adept_bench.figures.layer_importance import same_shape
from adept_bench.figures.layers import layer_ticks
from adept_bench.figures.style import INK, heading, new_figure
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REFERENCE = ("masking", "general")
"""The importance that the paper chooses layers by."""


@dataclass(frozen=True)
class Kind:
    """One metric on one corpus, under every seed that has it."""

    metric: str
    corpus: str
    profiles: list[Profile]

    @property
    def name(self) -> str:
        return f"{self.metric}, {self.corpus}"

    def by_seed(self) -> dict[int, Profile]:
        return {one.seed: one for one in self.profiles}


def draw(cells: Sequence[Cell]) -> Drawing:
    """Above: mean rank of each layer by each metric. Below: Spearman's correlations and overlaps of the k lowest.

    Raises MissingError where the cells hold fewer than two layer importances.
    """
    profiles = layer_profiles(cells)
    names = list(dict.fromkeys((one.metric, one.corpus) for one in profiles))
    if len(names) < 2:
        raise MissingError(
            f"importance_metrics: {len(names)} layer importances by metric and corpus; expected two or more in "
            "`analyses.layers` of a vanilla cell of suite pilot"
        )
    kinds = [Kind(*name, [one for one in profiles if (one.metric, one.corpus) == name]) for name in names]
    shown = together(one.cell for one in profiles)
    k, layers = same_shape(profiles)
    pairs = {
        (i, j): found
        for i in range(len(kinds))
        for j in range(i)
        if (found := _agreement(kinds[i], kinds[j], k)) is not None
    }
    figure = new_figure(height=1.5 + 0.19 * len(kinds) + 0.38 * len(kinds))
    above, below = figure.subplots(2, 1, height_ratios=[0.19 * len(kinds) + 0.2, 0.38 * len(kinds)])
    _rank_map(figure, above, kinds, k, layers)
    _matrix(figure, below, kinds, pairs, k)
    heading(figure, shown)
    notes = [
        f"{metric} on {corpus} text: no cell holds it"
        for metric in dict.fromkeys(kind.metric for kind in kinds)
        for corpus in ("general", "domain")
        if (metric, corpus) not in names
    ]
    return Drawing(
        data=Table(
            ["what", "metric", "corpus", "of", "of_corpus", "layer", "seed", "value", "low", "high"],
            _profile_rows(kinds, k) + _pair_rows(kinds, pairs),
        ),
        caption=_caption(shown, k, layers),
        cells=shown,
        figure=figure,
        shown=_table(kinds, k),
        notes=notes,
    )


def _agreement(one: Kind, other: Kind, k: int) -> Agreement | None:
    first, second = one.by_seed(), other.by_seed()
    common = sorted(first.keys() & second.keys())
    return (
        agreement({seed: (first[seed].importance, second[seed].importance) for seed in common}, k) if common else None
    )


def _rank_map(figure: Figure, axes: Axes, kinds: Sequence[Kind], k: int, layers: int) -> None:
    means = np.array([np.mean([ranks(one.importance) for one in kind.profiles], axis=0) for kind in kinds])
    image = axes.pcolormesh(
        np.arange(layers + 1) - 0.5,
        np.arange(len(kinds) + 1) - 0.5,
        means,
        cmap="cividis",
        vmin=1,
        vmax=layers,
        edgecolor="white",
        linewidth=0.4,
    )
    for row, kind in enumerate(kinds):
        shares = np.array(share_lowest([one.importance for one in kind.profiles], k))
        chosen = np.flatnonzero(shares)
        axes.scatter(
            chosen,
            np.full(len(chosen), row),
            s=46 * shares[chosen],
            color="white",
            edgecolor=INK,
            linewidth=0.7,
            zorder=3,
        )
    axes.invert_yaxis()
    axes.set_yticks(range(len(kinds)), [kind.name for kind in kinds])
    layer_ticks(axes, layers)
    axes.set_xlim(-0.5, layers - 0.5)
    axes.set_xlabel("layer of the base model")
    axes.set_title(f"order of the layers (disc: among the {k} lowest, area the share of seeds)")
    _plain(axes)
    bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=10, ticks=[1, layers])
    bar.ax.set_yticklabels(["1, least\nimportant", f"{layers}, most"])


def _matrix(figure: Figure, axes: Axes, kinds: Sequence[Kind], pairs: dict[tuple[int, int], Agreement], k: int) -> None:
    count = len(kinds)
    below, above = np.full((count, count), np.nan), np.full((count, count), np.nan)
    for (i, j), found in pairs.items():
        below[i, j] = found.spearman.value if found.spearman else np.nan
        above[j, i] = found.overlap.value
    edges = np.arange(count + 1) - 0.5
    for values, cmap, low, label in (
        (below, "PuOr", -1, "below the diagonal: Spearman's correlation"),
        (above, "Greys", 0, f"above: overlap of the {k} lowest"),
    ):
        image = axes.pcolormesh(
            edges, edges, np.ma.masked_invalid(values), cmap=cmap, vmin=low, vmax=1, edgecolor="white", linewidth=1
        )
        bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=22, location="right")
        bar.set_label(label, fontsize=8)
        for i, j in zip(*np.nonzero(~np.isnan(values))):
            dark = sum(image.cmap(image.norm(values[i, j]))[:3]) < 1.5
            axes.text(
                j,
                i,
                f"{values[i, j]:.2f}".replace("-", "\N{MINUS SIGN}"),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else INK,
            )
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_yticks(range(count), [kind.name for kind in kinds])
    axes.set_xticks(range(count), [kind.name.replace(", ", ",\n") for kind in kinds])
    axes.set_title("agreement of two importances, mean over seeds")
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _table(kinds: Sequence[Kind], k: int) -> Table:
    """The formatted table: agreement of each importance with the paper's choice and with its own on other text."""
    by_name = {(kind.metric, kind.corpus): kind for kind in kinds}
    reference = by_name.get(REFERENCE, kinds[0])
    rows: list[list[Value]] = []
    for kind in kinds:
        other = by_name.get((kind.metric, "domain" if kind.corpus == "general" else "general"))
        of_reference = _agreement(kind, reference, k) if kind is not reference else None
        of_text = _agreement(kind, other, k) if other else None
        seconds = [one.seconds for one in kind.profiles if one.seconds is not None]
        rows.append(
            [
                kind.metric,
                kind.corpus,
                in_words(of_reference.spearman) if of_reference else "-",
                in_words(of_reference.kendall) if of_reference else "-",
                in_words(of_reference.overlap) if of_reference else "-",
                in_words(of_text.spearman) if of_text else "-",
                in_words(of_text.overlap) if of_text else "-",
                "; ".join(", ".join(map(str, one.chosen())) for one in kind.profiles),
                f"{sum(seconds) / len(seconds):.1f}" if seconds else "-",
            ]
        )
    return Table(
        [
            "metric",
            "text",
            f"Spearman with {reference.name}",
            f"Kendall with {reference.name}",
            f"overlap with {reference.name}",
            "Spearman with the other text",
            "overlap with the other text",
            f"{k} lowest, by seed",
            "probing, s",
        ],
        rows,
    )


def _profile_rows(kinds: Sequence[Kind], k: int) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for kind in kinds:
        shares = share_lowest([one.importance for one in kind.profiles], k)
        order = {one.seed: ranks(one.importance) for one in kind.profiles}
        for layer, share in enumerate(shares):
            head: list[Value] = [kind.metric, kind.corpus, None, None, layer]
            rank = mean_within({seed: float(found[layer]) for seed, found in order.items()}, 1.0, len(shares))
            rows.append(["mean rank", *head, "mean", rank.value, rank.low, rank.high])
            rows.append(["share among the lowest", *head, "mean", share, None, None])
            for one in kind.profiles:
                rows.append(["importance", *head, one.seed, one.importance[layer], None, None])
    return rows


def _pair_rows(kinds: Sequence[Kind], pairs: dict[tuple[int, int], Agreement]) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for (i, j), found in pairs.items():
        head: list[Value] = [kinds[i].metric, kinds[i].corpus, kinds[j].metric, kinds[j].corpus, None, "mean"]
        for what in ("spearman", "kendall", "overlap"):
            estimate = getattr(found, what)
            if estimate is not None:
                rows.append([what, *head, estimate.value, estimate.low, estimate.high])
    return rows


def _caption(cells: Sequence[Cell], k: int, layers: int) -> str:
    return (
        "Layer importances of the base model by metric and text. Above: the layers' mean rank over seeds, 1 the least "
        f"important; ranks, since the metrics have different units and layer 0 outweighs the rest; a disc marks layers "
        f"among the {k} lowest, its area the share of seeds. Below: agreement of two importances, mean over seeds: "
        f"under the diagonal Spearman's rank correlation over {layers} layers, above it the share of the {k} lowest "
        f"layers that both have (by chance {k / layers:.2f}). Intervals in the table and the CSV: 95% t intervals over "
        f"seeds, cut to the possible range. {made_from(cells)}"
    )


KIND = FigureKind(
    name="importance_metrics",
    title="Four metrics of layer importance compared",
    paper="Table 9",
    draw=draw,
)
