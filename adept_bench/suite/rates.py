"""Which peak learning rate a method gets: set by the user, chosen on validation data, or the middle of its grid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.errors import InputError
from adept_bench.files import write_json
from adept_bench.progress import reporter
from adept_bench.suite.texts import data_identity

if TYPE_CHECKING:
    from adept_bench.config.schema import RunConfig

EVIDENCE = "learning-rates.json"
CRITERION = (
    "highest mean of the chance-corrected accuracies of the validation groups general and domain; "
    "where there are none, lowest mean of the general and domain losses on validation documents"
)


def protocol(config: RunConfig) -> dict[str, Any]:
    """What a choice of learning rate was made under: model, data, budget, options and what it was judged by."""
    training = config.training.model_dump(
        mode="json", exclude={"learning_rate", "save_every", "log_every", "distributed"}
    )
    return {
        "model": config.model.model_dump(mode="json"),
        "data": {**config.data.model_dump(mode="json"), "identity": data_identity(config.data)},
        "training": training,
        "probe": config.probe.model_dump(mode="json"),
        "options": config.options.model_dump(mode="json"),
        "validation": {name: list(tasks) for name, tasks in config.tasks.validation.items()},
        "seed": config.selection.seed,
    }


def differences(stored: Any, asked: Any, path: str = "") -> list[str]:
    """The dotted names under which two protocols differ."""
    if isinstance(stored, dict) and isinstance(asked, dict):
        found = []
        for key in sorted(stored.keys() | asked.keys()):
            found += differences(stored.get(key), asked.get(key), f"{path}.{key}" if path else key)
        return found
    return [] if stored == asked else [path]


def score(trial: dict[str, Any]) -> float:
    """The criterion, higher is better."""
    values = [value for name, value in trial["groups_chance_corrected"].items() if name in ("general", "domain")]
    if values:
        return sum(values) / len(values)
    return -sum(trial["losses"].values()) / len(trial["losses"])


def choose(trials: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The choice among a method's trials: the best score, and the lower rate of equals; whether it is on the edge."""
    ordered = sorted(trials, key=lambda trial: trial["learning_rate"])
    best = max(ordered, key=lambda trial: (trial["score"], -trial["learning_rate"]))
    return {
        "chosen": best["learning_rate"],
        "on_edge": best["learning_rate"] in (ordered[0]["learning_rate"], ordered[-1]["learning_rate"]),
        "grid": [trial["learning_rate"] for trial in ordered],
        "trials": ordered,
    }


def write_evidence(path: Path, config: RunConfig, chosen: dict[str, dict[str, Any]]) -> None:
    """Store the choices (method -> `choose`) with all their trials; earlier ones of the same protocol stay."""
    asked = protocol(config)
    methods: dict[str, Any] = {}
    if path.is_file():
        stored = _read(path)
        if not differences(stored["protocol"], asked):
            methods = stored["methods"]
    content = {"criterion": CRITERION, "protocol": asked, "methods": {**methods, **chosen}}
    write_json(path, {"preset": config.preset, "suite": config.suite, **content})


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: not a file of chosen learning rates ({error}); remove it or run --select-lr"
        ) from None


def evidence_path(results: Path, config: RunConfig) -> Path:
    """Where `--select-lr` stores its trials and choices."""
    return results / config.preset / config.suite / EVIDENCE


# a rate chosen for another model or other corpora says nothing; one chosen for another budget is still the best guess
_DECISIVE = ("model.source", "model.revision", "data.identity.domain", "data.identity.general")


def learning_rate(config: RunConfig, method: str, results: Path) -> dict[str, Any]:
    """The method's peak rate as the result file records it: value, source, grid, criterion, evidence, trials.

    In this order: `training.learning_rate`; what --select-lr stored in the results folder; what ships with the
    package; the middle of the grid. Stored choices count for the same model and corpora; where the budget or an option
    differs from the one they were made under, the log and the result (`differs`) say so.
    """
    if config.training.learning_rate is not None:
        return {"value": config.training.learning_rate, "source": "set"}
    from adept_bench.config.loading import learning_rates_file

    asked = protocol(config)
    places = [
        ("selected", evidence_path(results, config)),
        ("shipped", learning_rates_file(config.preset, config.suite)),
    ]
    if (other := config.selection.shared_with) is not None:
        places.append(("selected", results / config.preset / other / EVIDENCE))
        places.append(("shipped", learning_rates_file(config.preset, other)))
    for source, path in places:
        stored = _read(path) if path.is_file() else None
        if stored is None or method not in stored["methods"]:
            continue
        differing = differences(stored["protocol"], asked)
        if any(name.startswith(_DECISIVE) for name in differing):
            continue
        choice = stored["methods"][method]
        if differing:
            reporter().log(f"{method}: learning rate {choice['chosen']:g} was chosen with other {', '.join(differing)}")
        return {
            "value": choice["chosen"],
            "source": source,
            "grid": choice["grid"],
            "criterion": stored["criterion"],
            "evidence": path.name,
            "differs": differing,
            "trials": [{key: trial[key] for key in ("learning_rate", "score")} for trial in choice["trials"]],
        }
    grid = config.selection.grid_for(method)
    middle = grid[len(grid) // 2]
    reporter().log(
        f"{method}: no learning rate was chosen for this model and data; taking {middle:g}, "
        "the middle of the grid (--select-lr chooses one)"
    )
    return {"value": middle, "source": "default", "grid": grid}
