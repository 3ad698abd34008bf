"""Cells of an invented ablation suite: the lab's stored cells with other methods, variants, layers and answers."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adept_bench.config.names import CORE_METHODS
from adept_bench.results.schema import Cell, CurvePoint, Variant
from adept_bench.results.store import Store

RESULTS = Path(__file__).parents[2] / "results"

# name -> (about, settings); as in experiments/suites/ablation.yaml
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "adept-random": ("selection", {"options.select": "random"}),
    "adept-highest": ("selection", {"options.select": "highest"}),
    "adept-domain-importance": ("selection", {"options.select": "domain-importance"}),
    "adept-k1": ("k", {"options.k": 1}),
    "adept-k4": ("k", {"options.k": 4}),
    "adept-refresh50": ("refresh", {"options.refresh_every": 50}),
    "adept-refresh-once": ("refresh", {"options.refresh_every": 1_000_000_000}),
    "adept-probe16": ("probe corpus", {"data.probe_documents": 16}),
    "adept-probe-text": ("probe corpus", {"data.probe": "lab:general"}),
}
PARTS = ("adept", "adept-no-stage1", "adept-no-stage2", "adept-uniform-expansion", "adept-as-released")


def stored(suite: str = "medical", seeds: Sequence[int] = (0, 1, 2)) -> list[Cell]:
    """The lab's stored cells."""
    cells = Store(RESULTS).load_all("lab", suite)
    return [cell for cell in cells if cell.seed in seeds and (suite != "medical" or cell.method in CORE_METHODS)]


def answers(cell: Cell, better: float, name: str) -> Cell:
    """The cell with a share `better` of wrong answers turned right, or (negative) of right ones turned wrong."""
    draw = random.Random(f"{name} {cell.seed}")
    tasks = {}
    for task_name, task in cell.tasks.items():
        items = [
            1.0 - item if draw.random() < abs(better) and (item == 0) == (better > 0) else item for item in task.items
        ]
        tasks[task_name] = task.model_copy(update={"items": items, "value": sum(items) / len(items)})
    groups = {
        group: sum(values) / len(values)
        for group in cell.groups
        if (values := [task.value for task in tasks.values() if task.group == group])
    }
    return cell.model_copy(update={"tasks": tasks, "groups": groups})


def varied(cell: Cell, name: str, better: float = 0.0, layers: Sequence[int] | None = None) -> Cell:
    """ADEPT's cell as another method or variant of the suite."""
    config = copy.deepcopy(cell.config) | {"method": name, "suite": "ablation"}
    variant = None
    if name in VARIANTS:
        about, settings = VARIANTS[name]
        for dotted, value in settings.items():
            section, key = dotted.split(".")
            config[section][key] = value
            if dotted == "data.probe":
                config["identity"]["probe"] = f"{value}@other"
        variant = Variant(of="adept", about=about, settings=settings)
    layers = list(cell.model.expanded_layers if layers is None else layers)
    changed = answers(cell, better, name).model_copy(
        update={
            "suite": "ablation",
            "method": name,
            "config": config,
            "variant": variant,
            "model": cell.model.model_copy(
                update={"expanded_layers": layers, "trainable_fraction": len(layers) / 15, "layers": 12 + len(layers)}
            ),
            "method_definition": cell.method_definition | {"layers": layers, "chosen_by": chosen_by(name)},
            "training": slower(cell, better),
        }
    )
    return Cell.model_validate_json(changed.model_dump_json())


def chosen_by(name: str) -> str:
    """As the methods themselves say it."""
    if name == "adept-uniform-expansion":
        return "uniform"
    about, settings = VARIANTS.get(name, ("", {}))
    return settings["options.select"] if about == "selection" else "importance"


def slower(cell: Cell, better: float) -> Any:
    """The training with a curve whose loss is higher by the share `better`."""
    curve = [
        CurvePoint(step=point.step, loss=point.loss * (1 + better / 2), learning_rate=point.learning_rate)
        for point in cell.training.curve
    ]
    return cell.training.model_copy(update={"curve": curve})


def ablation(seeds: Sequence[int] = (0, 1, 2), without: Sequence[str] = ()) -> list[Cell]:
    """All methods of the suite on the given seeds, less those named `without`."""
    base = [cell for cell in stored(seeds=seeds) if cell.method in ("adept", "vanilla")]
    cells = [cell.model_copy(update={"suite": "ablation"}) for cell in base if cell.method == "vanilla"]
    changes = dict(
        zip((*PARTS, *VARIANTS), (0, -0.2, 0.1, 0.3, -0.05, -0.1, -0.5, 0.05, -0.3, 0.2, 0.02, -0.1, 0, 0.1))
    )
    for cell in (cell for cell in base if cell.method == "adept"):
        choices = {
            "adept-uniform-expansion": [5, 11],
            "adept-random": sorted(random.Random(cell.seed).sample(range(12), 2)),
            "adept-highest": [0, 11],
            "adept-k1": cell.model.expanded_layers[:1],
            "adept-k4": [2, 3, 8, 10],
        }
        for name, better in changes.items():
            made = varied(cell, name, better, choices.get(name))
            if name == "adept-no-stage1":
                definition = {**made.method_definition, "edit": "none", "trained_layers": made.model.expanded_layers}
                model = made.model.model_copy(update={"expanded_layers": [], "layers": 12})
                made = made.model_copy(update={"method_definition": definition, "model": model})
            cells.append(made)
    return [cell for cell in cells if cell.method not in without]
