"""The plan of a run: an estimate a method, hours a device, and the assumptions that they rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from adept_bench.planning.architectures import PAPER_LAYERS, config_of, known_as
from adept_bench.planning.devices import FRAGMENTED, MFU, RESERVED, SCALING, Device
from adept_bench.planning.estimate import Estimate, Workbench
from adept_bench.planning.fit import A_MACHINE, NAMED, as_configured
from adept_bench.planning.timing import Rate, rate_of

if TYPE_CHECKING:
    from adept_bench.config.schema import RunConfig


def make_plan(
    config: RunConfig,
    methods: Sequence[str],
    devices: Sequence[Device],
    *,
    seeds: Sequence[int] = (0,),
    count: int = 1,
    mfu: float = MFU,
    measured: Rate | None = None,
    variants: Mapping[str, tuple[str, RunConfig]] | None = None,
    rates: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Plain JSON values: "preset", "suite", "model", "training", "assumptions", "methods", "totals".

    methods: names of the registry, or of `variants` (name -> method it is of, its configuration). count: devices side
    by side. mfu: share of the stated peak that is reached. measured: the rate of this machine's processor. rates: at
    how many learning rates a method's cell is run, one where it is not named or 0.
    Each of "methods": name, cells (of a seed), layers (copied or trained alone, and whether assumed), parameters,
    operations, memory of each device in bytes by part ("main": of main memory, a process), and by device: fits, main
    memory of a machine, seconds, hours. "totals": all cells of all seeds, and their hours by device.
    Raises InputError for a model whose configuration cannot be read or that a method does not fit.
    """
    from adept_bench.methods.registry import get

    variants = variants or {}
    architecture, source = config_of(config.model)
    bench = Workbench(architecture, config.model.dtype, config.model.trust_remote_code)
    assumed, why = assumed_layers(config, bench.depth)
    speeds = {one.name: rate_of(one, config.training.precision, mfu, measured) for one in devices}
    rows = []
    for name in methods:
        composition, its_config = variants.get(name, (name, config))
        estimate = Estimate(bench, get(composition, its_config.options), its_config, seeds[0], assumed)
        cells = max((rates or {}).get(name, 1), 1)
        rows.append({"cells": cells, **_row(name, estimate, devices, count, speeds)})
    hours = {
        one.name: len(seeds)
        * sum(row["cells"] * (at := row["devices"][one.name])["devices"] * (at["hours"] or 0.0) for row in rows)
        for one in devices
    }
    return {
        "preset": config.preset,
        "suite": config.suite,
        "model": {"source": config.model.source, "architecture": source, "layers": bench.depth, "dtype": bench.dtype},
        "training": {
            **{key: getattr(config.training, key) for key in ("tokens", "steps", "length", "batch_size")},
            **{key: getattr(config.training, key) for key in ("accumulation", "precision", "gradient_checkpointing")},
            "distributed": config.training.distributed,
        },
        "devices": {one.name: {"title": one.title, "count": count, "source": one.source} for one in devices},
        "assumptions": {
            "layers": why,
            "rate": {name: speed.over(count).source for name, speed in speeds.items()},
            "scaling": SCALING if count > 1 else None,
            "reserved_bytes": RESERVED,
            "fragmented": FRAGMENTED,
            "devices_a_machine": A_MACHINE,
            "main_memory_named_bytes": NAMED,
            "probing": "probe documents have max_length tokens; fewer cost less",
            "evaluation": "tokens a question are rounded means (docs/plan.md)",
        },
        "methods": rows,
        "totals": {"cells": len(seeds) * sum(row["cells"] for row in rows), "device_hours": hours},
    }


def assumed_layers(config: RunConfig, depth: int) -> tuple[list[int], str]:
    """The layers that importance is taken to be least in, and why."""
    name = known_as(config.model.source)
    k = config.options.k
    if name in PAPER_LAYERS and len(PAPER_LAYERS[name]) == k:
        return PAPER_LAYERS[name], "where importance decides: the layers that the paper reports for this model"
    return list(range(max(0, depth - k), depth)), (
        "where importance decides: the last k, since importance falls with depth in the paper; earlier layers cost more"
    )


def _row(name: str, estimate: Estimate, devices: Sequence[Device], count: int, rates: Mapping[str, Rate]) -> Any:
    shape, counted = estimate.shape, estimate.operations
    trains = estimate.method.trains
    memory = estimate.memory(as_configured(estimate.config.training, count)) if trains else None
    row: dict[str, Any] = {
        "name": name,
        "layers": shape.chosen_layers,
        "layers_assumed": shape.assumed,
        "parameters": shape.total,
        "trainable": shape.trainable,
        "trainable_fraction": shape.trainable / shape.total,
        "tokens": estimate.tokens,
        "operations": {
            "training": counted.train,
            "recomputed": counted.recomputed,
            "layer_probe": counted.layers,
            "unit_probe": counted.units,
            "refreshes": counted.refreshes,
            "evaluation": counted.evaluation,
        },
        "evaluation": {
            "tokens": estimate.evaluation.tokens,
            "generated": estimate.evaluation.generated,
            "not_counted": estimate.evaluation.unknown,
        },
        "memory": {**vars(memory), "peak": estimate.peak_on(count)} if memory is not None else None,
        "devices": {},
    }
    for one in devices:
        row["devices"][one.name] = _on_device(estimate, one, count, rates[one.name])
    return row


def _on_device(estimate: Estimate, device: Device, count: int, rate: Rate) -> dict[str, Any]:
    if not estimate.method.trains:
        seconds = estimate.seconds(rate.over(count))
        hours = sum(seconds.values()) / 3600
        return {"fits": "-", "peak": None, "main": 0, "devices": count, "seconds": seconds, "hours": hours}
    found = estimate.fit(device, count)
    if found.settings is None:
        return {"fits": found.how, "peak": found.bytes, "main": 0, "devices": 0, "seconds": None, "hours": None}
    used = max(count, found.settings.shards)  # what only fits on more devices than asked for is timed on those
    seconds = estimate.seconds(rate.over(used), found.settings)
    hours = sum(seconds.values()) / 3600
    return {
        "fits": found.how,
        "peak": found.bytes,
        "main": found.main,
        "devices": used,
        "seconds": seconds,
        "hours": hours,
    }
