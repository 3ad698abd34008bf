"""How steady the layer ranking is: over bootstrap samples of the probe documents, and with fewer of them (ours)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from adept_bench.analysis.pilot import corpora_in_order, made_from, together
from adept_bench.analysis.rankings import mean_within
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value, holding
from adept_bench.figures.layers import (
    CHOSEN,
    CORPUS_COLOURS,
    CORPUS_LINES,
    CORPUS_MARKERS,
    layer_ticks,
    share_strip,
    value_axis,
    whisker,
)
from adept_bench.figures.style import GREY, INK, clean, heading, new_figure
from adept_bench.results.schema import Cell, ProbeSize, Stability

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BySeed = dict[int, Stability]
SEED_MARKERS = "osD^vPX*hd"
MEASURES = (
    ("rank_correlation", "Spearman's correlation\nwith all documents", -1.0),
    ("overlap", "share of the k lowest\nin common with all", 0.0),
)


def draw(cells: Sequence[Cell]) -> Drawing:
    """Bootstrap intervals of each layer's importance with the share of samples that choose it; below, by probe size.

    Raises MissingError where no cell holds a stability block, or those that do differ in k or in documents.
    """
    found = holding(
        cells,
        "stability",
        "ranking_stability: no cell holds bootstrap samples of the layer ranking; expected `analyses.stability` of "
        "a vanilla cell of suite pilot",
    )
    shown = together(found)
    by_corpus = _by_corpus(shown)
    sizes = any(one.sizes for mine in by_corpus.values() for one in mine.values())
    rows_above = 2 * len(by_corpus)
    figure = new_figure(height=0.5 + 2.2 * len(by_corpus) + (2.2 if sizes else 0))
    grid = figure.add_gridspec(rows_above + int(sizes), 2, height_ratios=[6, 1] * len(by_corpus) + [6.5] * int(sizes))
    ends = [end for mine in by_corpus.values() for one in mine.values() for end in (*one.low, *one.high)]
    every = [value for mine in by_corpus.values() for one in mine.values() for value in one.importance]
    axis = ""
    for index, (corpus, mine) in enumerate(by_corpus.items()):
        bars = figure.add_subplot(grid[2 * index, :])
        strip = figure.add_subplot(grid[2 * index + 1, :])
        axis = value_axis(bars, every, ends)
        _intervals(bars, mine)
        bars.set_title(f"{corpus} text")
        _strip(strip, mine)
        for axes in (bars, strip):
            layer_ticks(axes, len(every) // sum(map(len, by_corpus.values())))
        bars.tick_params(labelbottom=False)
        if index == len(by_corpus) - 1:
            strip.set_xlabel("layer of the base model")
        if index == 0 and len(mine) > 1:
            bars.legend(title="seed", ncols=min(len(mine), 5), loc="upper right", fontsize=8, title_fontsize=8)
    if sizes:
        for column, (measure, label, least) in enumerate(MEASURES):
            _by_size(figure.add_subplot(grid[rows_above, column]), by_corpus, measure, label, least)
    heading(figure, shown)
    return Drawing(
        data=Table(
            ["what", "corpus", "seed", "layer", "documents", "value", "low", "high"],
            _layer_rows(by_corpus) + _size_rows(by_corpus),
        ),
        caption=_caption(shown, by_corpus, axis, sizes),
        cells=shown,
        figure=figure,
        notes=[f"ranking on {name} text: no cell holds it" for name in ("general", "domain") if name not in by_corpus]
        + ([] if sizes else ["ranking by probe size: no cell holds it"]),
    )


def _by_corpus(cells: Sequence[Cell]) -> dict[str, BySeed]:
    found: dict[str, BySeed] = {}
    for cell in cells:
        assert cell.analyses is not None
        for one in cell.analyses.stability:
            found.setdefault(one.corpus, {})[cell.seed] = one
    kinds = {(one.k, len(one.importance)) for mine in found.values() for one in mine.values()}
    if len(kinds) > 1:
        raise MissingError(f"ranking_stability: blocks of different (k, layers): {sorted(kinds)}; expected one of both")
    return {corpus: found[corpus] for corpus in corpora_in_order(found)}


def _places(seeds: int) -> list[float]:
    return [0.7 * ((index + 0.5) / seeds - 0.5) for index in range(seeds)]


def _intervals(axes: Axes, mine: BySeed) -> None:
    for index, ((seed, one), shift) in enumerate(zip(mine.items(), _places(len(mine)))):
        for layer, (low, high) in enumerate(zip(one.low, one.high)):
            whisker(axes, layer + shift, low, high, GREY)
        axes.scatter(
            np.arange(len(one.importance)) + shift,
            one.importance,
            s=16,
            marker=SEED_MARKERS[index % len(SEED_MARKERS)],
            color=[CHOSEN if share >= 0.5 else "white" for share in one.chosen],
            edgecolor=INK,
            linewidth=0.6,
            zorder=4,
            label=str(seed),
        )
    clean(axes)
    axes.grid(False, axis="x")
    axes.set_ylabel("importance, nats a token")
    bottom, top = axes.get_ylim()
    for edge in range(1, len(next(iter(mine.values())).importance), 2):
        axes.axvspan(edge - 0.5, edge + 0.5, color="#000000", alpha=0.03, linewidth=0, zorder=0)
    axes.set_ylim(bottom, top)


def _strip(axes: Axes, mine: BySeed) -> None:
    shares = np.mean([one.chosen for one in mine.values()], axis=0)
    share_strip(axes, shares.tolist(), "chosen")
    if len(mine) > 1:
        for index, (one, shift) in enumerate(zip(mine.values(), _places(len(mine)))):
            axes.scatter(
                np.arange(len(one.chosen)) + shift,
                one.chosen,
                s=9,
                marker=SEED_MARKERS[index % len(SEED_MARKERS)],
                color="white",
                edgecolor=INK,
                linewidth=0.6,
                zorder=4,
                clip_on=False,
            )


def _by_size(axes: Axes, by_corpus: dict[str, BySeed], measure: str, label: str, least: float) -> None:
    drawn = []
    for index, (corpus, mine) in enumerate(by_corpus.items()):
        documents = sorted({size.documents for one in mine.values() for size in one.sizes})
        drawn += documents
        shift = 1.03 ** (2 * index - 1) if len(by_corpus) > 1 else 1.0
        means, lows, highs = [], [], []
        for count in documents:
            samples = [getattr(size, measure) for _, size in _of_size(mine, count)]
            per_seed = [float(np.mean(one)) for one in samples]
            if len(mine) > 1:
                places = [count * shift] * len(per_seed)
                axes.scatter(places, per_seed, s=7, color=CORPUS_COLOURS.get(corpus, GREY), zorder=3)
            means.append(float(np.mean(per_seed)))
            low, high = np.percentile(np.concatenate(samples), [2.5, 97.5])
            lows.append(low)
            highs.append(high)
        axes.errorbar(
            [count * shift for count in documents],
            means,
            # a mean may lie outside the middle 95%, where nearly all subsets agree and a few do not at all
            yerr=[np.maximum(0, np.subtract(means, lows)), np.maximum(0, np.subtract(highs, means))],
            color=CORPUS_COLOURS.get(corpus, GREY),
            linestyle=CORPUS_LINES.get(corpus, ":"),
            marker=CORPUS_MARKERS.get(corpus, "D"),
            markerfacecolor="white",
            markersize=6,
            elinewidth=0.9,
            label=f"{corpus} text",
            zorder=2,
        )
    one = next(iter(next(iter(by_corpus.values())).values()))
    if measure == "overlap":
        chance = one.k / len(one.importance)
        axes.axhline(chance, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
        axes.text(0.1, chance + 0.02, "by chance", fontsize=8, color=GREY, transform=axes.get_yaxis_transform())
    ticks = sorted(set(drawn))
    axes.set_xscale("log", base=2)
    axes.minorticks_off()
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    bottom = axes.get_ylim()[0]
    axes.set_ylim(max(least - 0.05, min(bottom, 0.0) - 0.02), 1.04)
    axes.set_xlabel("probe documents")
    axes.set_ylabel(label.replace("k lowest", f"{one.k} lowest"))
    clean(axes)
    if measure == "rank_correlation":
        axes.legend(loc="lower right", fontsize=8)


def _of_size(mine: BySeed, documents: int) -> list[tuple[int, ProbeSize]]:
    return [(seed, size) for seed, one in mine.items() for size in one.sizes if size.documents == documents]


def _layer_rows(by_corpus: dict[str, BySeed]) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for corpus, mine in by_corpus.items():
        for seed, one in mine.items():
            for layer, columns in enumerate(zip(one.importance, one.low, one.high)):
                rows.append(["importance, nats", corpus, seed, layer, one.documents, *columns])
                rows.append(["share of samples", corpus, seed, layer, one.documents, one.chosen[layer], None, None])
            value, low, high = one.rank_correlation
            rows.append(["rank correlation of a bootstrap sample", corpus, seed, None, one.documents, value, low, high])
    return rows


def _size_rows(by_corpus: dict[str, BySeed]) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for corpus, mine in by_corpus.items():
        for documents in sorted({size.documents for one in mine.values() for size in one.sizes}):
            for measure, _, least in MEASURES:
                head: list[Value] = [measure.replace("_", " "), corpus]
                found = {seed: getattr(size, measure) for seed, size in _of_size(mine, documents)}
                for seed, samples in found.items():
                    low, high = np.percentile(samples, [2.5, 97.5])
                    rows.append([*head, seed, None, documents, float(np.mean(samples)), float(low), float(high)])
                mean = mean_within({seed: float(np.mean(samples)) for seed, samples in found.items()}, least, 1.0)
                rows.append([*head, "mean", None, documents, mean.value, mean.low, mean.high])
    return rows


def _caption(cells: Sequence[Cell], by_corpus: dict[str, BySeed], axis: str, sizes: bool) -> str:
    blocks = [one for mine in by_corpus.values() for one in mine.values()]
    documents = " or ".join(map(str, sorted({one.documents for one in blocks})))
    samples = " or ".join(map(str, sorted({one.samples for one in blocks})))
    k, layers = blocks[0].k, len(blocks[0].importance)
    below = (
        f"Bottom: how well random subsets of fewer documents reproduce the ranking of all: Spearman's correlation over "
        f"{layers} layers, and the share of the {k} lowest in common (by chance {k / layers:.2f}). Open marks: means "
        "over seeds; dots: single seeds; bars: the middle 95% of single subsets, of all seeds together. "
        if sizes
        else ""
    )
    return (
        f"How steady the ranking of layers by masking is. Above, a mark a seed: importance measured on {documents} "
        f"probe documents, with the 95% bootstrap interval over {samples} samples of documents drawn with replacement; "
        f"filled: among the {k} lowest in at least half of the samples. {axis} A triangle: the interval goes on beyond "
        f"the axis. Strips: share of samples in which a layer is among the {k} lowest, bars the mean over seeds, marks "
        f"single seeds. {below}{made_from(cells)}"
    )


KIND = FigureKind(
    name="ranking_stability",
    title="Stability of the layer ranking over probe documents",
    paper="ours",
    draw=draw,
)
