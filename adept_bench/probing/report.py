"""The JSON of `probe layers` and `probe units` (contract.md, Exact meanings)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from adept_bench.probing.rates import lr_scales, normalize_units

if TYPE_CHECKING:
    from adept_bench.probing.layers import LayerImportance
    from adept_bench.probing.units import UnitImportance


def layer_report(result: LayerImportance, *, model: str, corpus: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """The contract's object for layers; `settings` (max_length, batch_size, ...) go in beside it."""
    return {
        "metric": result.metric,
        "model": model,
        "corpus": dict(corpus),
        "base_loss": result.base_loss,
        "layers": [{"index": index, "importance": value} for index, value in enumerate(result.importance)],
        "lowest": result.lowest(),
        **settings,
    }


def unit_report(
    units: Sequence[UnitImportance],
    *,
    model: str,
    corpus: Mapping[str, Any],
    normalize: str = "norms-apart",
    **settings: Any,
) -> dict[str, Any]:
    """The contract's object for units, in model order; `settings` (granularity, batch_size, ...) go in beside it."""
    normalized = normalize_units(units, normalize)
    rows = [
        {
            "name": unit.name,
            "layer": unit.layer,
            "norm": unit.norm,
            "elements": unit.elements,
            "importance": unit.importance,
            "normalized": scaled,
            "lr_scale": rate,
        }
        for unit, scaled, rate in zip(units, normalized, lr_scales(normalized))
    ]
    return {"model": model, "corpus": dict(corpus), "normalize": normalize, "units": rows, **settings}
