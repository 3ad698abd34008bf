"""The figures there are, by name, in the order of the paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps

from adept_bench.figures import (
    ablation,
    activations,
    cost,
    cost_by_k,
    frontier,
    frontier_time,
    gains,
    gains_along_paths,
    importance_metrics,
    item_flips,
    layer_importance,
    losses,
    main_table,
    ranking_stability,
    retention,
    selection,
    sensitivity,
    token_shift,
    training_curves,
    unit_importance,
    unit_rates,
)
from adept_bench.figures.base import Drawing, FigureKind
from adept_bench.figures.style import lay_out, look
from adept_bench.results.schema import Cell


def _styled(kind: FigureKind) -> Callable[[Sequence[Cell]], Drawing]:
    """The kind's `draw` under the common look, on the cells it takes; the layout is computed once, for all formats."""

    @wraps(kind.draw)
    def drawn(cells: Sequence[Cell]) -> Drawing:
        with look():
            drawing = kind.draw(cells if kind.paths else [cell for cell in cells if cell.chosen])
            if drawing.figure is not None:
                lay_out(drawing.figure)
                drawing.figure.set_layout_engine("none")
        return drawing

    return drawn


FIGURES: dict[str, FigureKind] = {
    kind.name: replace(kind, draw=_styled(kind))
    for kind in (
        frontier.KIND,
        frontier.VARIANTS,
        frontier_time.KIND,
        gains.KIND,
        gains_along_paths.VARIANTS,
        layer_importance.KIND,
        unit_importance.KIND,
        importance_metrics.KIND,
        ranking_stability.KIND,
        main_table.KIND,
        retention.KIND,
        losses.KIND,
        ablation.KIND,
        selection.KIND,
        sensitivity.KIND,
        activations.KIND,
        token_shift.KIND,
        training_curves.KIND,
        unit_rates.KIND,
        item_flips.KIND,
        cost.KIND,
        cost_by_k.KIND,
    )
}
"""Each draws under the look of `style`; save what it draws under it too (`export.encode` inside `style.look`)."""
