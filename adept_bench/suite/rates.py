"""Which peak learning rate a method gets: set by the user, chosen on validation data, or the middle of its grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from adept_bench.errors import InputError, nearest
from adept_bench.suite.evidence import EVIDENCE, evidence, evidence_path, store
from adept_bench.suite.texts import data_identity

if TYPE_CHECKING:
    from adept_bench.config.schema import RunConfig
    from adept_bench.results.schema import Cell

Asked = Literal["chosen", "all"] | Sequence[float]
Settings = Mapping[str, Any] | None
DIVERGED = -1e9  # the score of a trial that diverged: below all others
CRITERION = (
    "highest mean of the chance-corrected accuracies of the validation groups general and domain; "
    "where there are none, lowest mean of the general and domain losses on validation documents"
)


@dataclass(frozen=True)
class Entry:
    """A method's trials, and what it changes of the suite's settings where it is a variant."""

    trials: Sequence[dict[str, Any]]
    settings: Settings = None


def protocol(config: RunConfig) -> dict[str, Any]:
    """What a choice of learning rate was made under: model, data, budget, options and what it was judged by."""
    training = config.training.model_dump(
        mode="json", exclude={"learning_rate", "save_every", "log_every", "evaluate_every", "distributed"}
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
    losses = [trial["losses"][name] for name in ("general", "domain") if name in trial["losses"]]
    return -sum(losses) / len(losses)


def choose(trials: Sequence[dict[str, Any]], seed: int | None = None) -> dict[str, Any]:
    """The choice among a method's trials: the best mean score over seeds, the lower rate of equals; is it on the edge?

    `seed`: the reported one. Its own trials do not count where there are others: what a rate is chosen by and what it
    is reported on are then of different base models. A rate that not all of those seeds tried does not count either.
    """
    counted = [trial for trial in trials if trial.get("seed") != seed] or list(trials)
    by_rate: dict[float, dict[int, float]] = {}
    for trial in counted:
        by_rate.setdefault(trial["learning_rate"], {})[trial.get("seed", 0)] = trial["score"]
    seeds = {trial.get("seed", 0) for trial in counted}
    scores = {rate: sum(of.values()) / len(of) for rate, of in sorted(by_rate.items()) if of.keys() == seeds}
    if not scores:
        raise InputError(f"learning rates: no rate was tried under all of the seeds {sorted(seeds)}")
    best = max(scores, key=lambda rate: (scores[rate], -rate))
    return {
        "chosen": best,
        "on_edge": best in (min(scores), max(scores)),
        "grid": list(scores),
        "scores": [{"learning_rate": rate, "score": value, "seeds": sorted(seeds)} for rate, value in scores.items()],
    }


def trial_of(cell: Cell) -> dict[str, Any]:
    """A cell as a trial of its learning rate: what the choice rests on."""
    assert cell.validation is not None
    found = cell.validation.model_dump(mode="json", include={"groups", "groups_chance_corrected", "losses"})
    trial = {"learning_rate": cell.rate, "seed": cell.seed, **found, "train_seconds": cell.cost.train_seconds}
    return {**trial, "score": score(trial)}


def write_evidence(path: Path, config: RunConfig, tried: Mapping[str, Entry]) -> None:
    """Store trials by method, with the choice they give over all seeds; earlier methods of the same protocol stay."""
    asked = protocol(config)
    methods: dict[str, Any] = {}
    stored = evidence(path, replaced=True)
    if stored is not None and not differences(stored["protocol"], asked):
        methods = stored["methods"]
    for name, entry in tried.items():
        trials = sorted(entry.trials, key=lambda trial: (trial["seed"], trial["learning_rate"]))
        choice = choose(trials)
        methods[name] = {key: choice[key] for key in ("chosen", "on_edge", "grid")} | {"trials": trials}
        if entry.settings:
            methods[name]["settings"] = dict(entry.settings)
    content = {"criterion": CRITERION, "protocol": asked, "methods": methods}
    store(path, {"preset": config.preset, "suite": config.suite, **content})


# a rate chosen for another model or other corpora says nothing; one chosen for another budget is still the best guess
_DECISIVE = ("model.source", "model.revision", "data.identity.domain", "data.identity.general")


def learning_rate(
    config: RunConfig, method: str, results: Path, seed: int, *, of: str | None = None, settings: Settings = None
) -> dict[str, Any]:
    """The method's peak rate for one seed as the result file records it: value, source, grid, criterion, trials.

    In this order: `training.learning_rate`; what --select-lr stored in the results folder; what ships with the
    package; the middle of the grid. Stored choices count for the same model and corpora; where the budget or an option
    differs from the one they were made under, `reservation` and the result (`differs`) say so. Trials of other seeds
    than `seed` choose, where there are any. `config` is the suite's; `of` and `settings` are a variant's: its own
    trials choose, and no other method's.
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
        stored = evidence(path)
        if stored is None or method not in stored["methods"]:
            continue
        differing = differences(stored["protocol"], asked)
        entry = stored["methods"][method]
        if any(name.startswith(_DECISIVE) for name in differing) or entry.get("settings", {}) != (settings or {}):
            continue
        choice = choose(entry["trials"], seed)
        return {
            "value": choice["chosen"],
            "source": source,
            "grid": choice["grid"],
            "criterion": stored["criterion"],
            "evidence": path.name,
            "differs": differing,
            "trials": choice["scores"],
        }
    grid = config.selection.grid_for(method, of)
    return {"value": grid[len(grid) // 2], "source": "default", "grid": grid}


def reservation(rate: dict[str, Any]) -> str:
    """What a user should know of where a rate comes from; empty where it was chosen under the settings of the run."""
    if rate["source"] == "default":
        return "no learning rate was chosen for this model and data; the middle of the grid (--select-lr chooses one)"
    if rate.get("differs"):
        return f"the learning rate was chosen with other {', '.join(rate['differs'])}"
    return ""


def on_grid(grid: list[float], wanted: Sequence[float] | None = None) -> list[dict[str, Any]]:
    """Rates that are points of a path, all of its grid or those `wanted`, as the result file records them."""
    rates = grid if wanted is None else wanted
    return [{"value": rate, "source": "grid", "grid": grid, "chosen": False} for rate in rates]


def rates_of(
    config: RunConfig, asked: Asked, chosen: dict[str, Any], method: str, of: str | None
) -> list[dict[str, Any]]:
    """The rates that a method's cells of one seed are run at, the chosen one first where it is among them.

    `asked`: "chosen", "all" of the method's grid beside the chosen one, or a list.
    """
    grid = config.selection.grid_for(method, of)
    wanted = [chosen["value"]] if asked == "chosen" else [chosen["value"], *grid] if asked == "all" else list(asked)
    found = [rate if rate["value"] != chosen["value"] else chosen for rate in on_grid(grid, wanted)]
    return sorted({rate["value"]: rate for rate in found}.values(), key=lambda rate: not rate.get("chosen", True))


def tried(config: RunConfig, asked: Asked, method: str, of: str | None = None) -> list[float]:
    """The rates that `asked` names for a method, whatever was chosen: none for "chosen", and where nothing trains."""
    if asked == "chosen" or (of or method) == "vanilla":
        return []
    return config.selection.grid_for(method, of) if asked == "all" else list(asked)


def check_asked(config: RunConfig, asked: Asked) -> None:
    """Raises InputError for rates that make no path: a grid of one, or one rate set for all."""
    if asked == "chosen":
        return
    if config.training.learning_rate is not None:
        raise InputError(
            f"--rates: training.learning_rate is set to {config.training.learning_rate:g}; expected one of the two"
        )
    if asked == "all" and len(config.selection.grid) < 2:
        raise InputError(f"--rates all: selection.grid {config.selection.grid} has one rate; expected two or more")


def parse_rates(text: str) -> Asked:
    """`--rates` as given: chosen, all, or numbers above 0. Raises InputError."""
    words = [part.strip() for part in text.split(",") if part.strip()]
    if len(words) == 1 and words[0] in ("chosen", "all"):
        return "all" if words[0] == "all" else "chosen"
    rates = []
    for word in words:
        try:
            rate = float(word)
        except ValueError:
            close = nearest(word, ["chosen", "all"])
            hint = f"; did you mean {close!r}?" if close else ""
            raise InputError(f"--rates: {word!r}; expected chosen, all, or rates such as 1e-3,2e-3{hint}") from None
        if not 0 < rate < math.inf:
            raise InputError(f"--rates: {word!r} is no learning rate; expected numbers above 0 such as 1e-3,2e-3")
        rates.append(rate)
    if not rates:
        raise InputError(f"--rates: no rate in {text!r}; expected chosen, all, or rates such as 1e-3,2e-3")
    return list(dict.fromkeys(rates))
