"""adept-bench: ADEPT and its baselines for continual pretraining, measured under one protocol."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adept_bench.models.expansion import expand
    from adept_bench.probing.layers import probe_layers
    from adept_bench.probing.rates import unit_rates
    from adept_bench.probing.units import probe_units

__version__ = "0.1.0"
__all__ = ["__version__", "expand", "probe_layers", "probe_units", "unit_rates"]

_HOME = {
    "expand": "adept_bench.models.expansion",
    "probe_layers": "adept_bench.probing.layers",
    "probe_units": "adept_bench.probing.units",
    "unit_rates": "adept_bench.probing.rates",
}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first asked for: they bring torch, which the command line must not."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
