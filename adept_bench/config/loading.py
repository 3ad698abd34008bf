"""A suite, a preset, --model and --set, resolved to one flat `RunConfig`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pydantic import ValidationError

from adept_bench.config.experiments import (
    experiments_dir,
    learning_rates_file,
    list_presets,
    list_suites,
    load_both,
    load_preset,
    load_suite,
)
from adept_bench.config.names import check_methods
from adept_bench.config.schema import SECTIONS, Preset, PresetTaskSet, RunConfig, Suite
from adept_bench.config.sources import (
    Lines,
    Location,
    explain,
    location,
    merge_lines,
    merged,
    parse_value,
    place,
    unknown_key,
)
from adept_bench.errors import InputError, unknown_name
from adept_bench.progress import reporter

__all__ = [
    "experiments_dir",
    "learning_rates_file",
    "list_presets",
    "list_suites",
    "load_both",
    "load_preset",
    "load_suite",
    "resolve",
]


def resolve(
    suite: Suite | str,
    preset: Preset | str | None = None,
    *,
    model: str | None = None,
    overrides: Sequence[str] = (),
    keep_tasks: bool = False,
    variant: str | None = None,
) -> RunConfig:
    """The configuration of a run: the preset, then the suite's sections, then `model`, then `overrides` (key=value).

    `variant`: one of the suite's variants, whose settings come last.

    What belongs to a corpus, model or grid that was replaced goes with it: the held-out part of a replaced corpus is
    split off the new one, a replaced general corpus is probed too, single methods' grids give way to a replaced one,
    and tasks about a preset's written world are dropped where model or corpora are not of that world (each said in a
    line). `keep_tasks` says that `model` is of that world whatever its name, as an adapted lab base is. Groups set to
    an empty list are left out.

    Raises InputError with every problem, one line each, by file and line or option.
    """
    suite = load_suite(suite) if isinstance(suite, str) else suite
    preset = load_preset(preset or suite.preset) if isinstance(preset, str | None) else preset
    change, change_lines, raw = _changes(suite, model, overrides)
    said: list[str] = []  # of the suite that a variant is resolved beside
    if variant is not None:
        plain = _flat(preset, suite, needs_domain="domain" not in _inside(change, "data"))
        _, said = _without_what_was_replaced(plain, change, preset, keep_tasks)
        change = merged(change, suite.variants[variant].sections())
        own = ("variants", variant)
        change_lines |= {at[2:]: where for at, where in suite._lines.items() if at[:2] == own and len(at) > 2}
    base = _flat(preset, suite, needs_domain="domain" not in _inside(change, "data"))
    base, left_out = _without_what_was_replaced(base, change, preset, keep_tasks)
    data = merged(base, change)
    if isinstance(data.get("tasks"), dict):
        for kind in ("groups", "validation"):
            if isinstance(groups := data["tasks"].get(kind), dict):
                data["tasks"][kind] = {group: names for group, names in groups.items() if names != []}
    lines = merge_lines(preset._lines, change_lines, change)
    config = _validated({**data, "suite": suite.name, "preset": preset.name}, raw, lines, suite.name)
    for line in left_out:
        if line not in said:
            reporter().log(line)
    option = "tasks.cluster"
    config._clustered.update({name: place(lines, ("tasks", "cluster", name), option) for name in config.tasks.cluster})
    return config


def _changes(
    suite: Suite, model: str | None, overrides: Sequence[str]
) -> tuple[dict[str, Any], Lines, dict[Location, str]]:
    """What suite, `model` and `overrides` set, where each was set, and the overrides' text before it was typed."""
    change = {section: getattr(suite, section) for section in SECTIONS if section in suite.model_fields_set}
    lines: Lines = {at: where for at, where in suite._lines.items() if at and at[0] in SECTIONS}
    raw: dict[Location, str] = {}
    if model is not None:
        change = merged(change, {"model": {"source": model}})
        lines[("model", "source")] = "--model"
    for override in overrides:
        key, equals, text = override.partition("=")
        at: Location = tuple(key.strip().split("."))
        if not equals:
            raise InputError(f"--set: {override!r} is not valid; expected KEY=VALUE such as training.tokens=200000")
        if at[0] not in SECTIONS:
            raise InputError(unknown_key("--set", at[:1], list(SECTIONS)))
        value = parse_value(text, f"--set {key.strip()}")
        nested: Any = value
        for part in reversed(at):
            nested = {part: nested}
        change = merged(change, nested)
        raw[at] = text.strip()
        lines |= {at[:end]: "--set" for end in range(1, len(at) + 1)}
    return change, lines, raw


def _flat(preset: Preset, suite: Suite, *, needs_domain: bool) -> dict[str, Any]:
    """The preset in the shape of `RunConfig`, for the suite's domain."""
    domains = preset.data.domains
    if needs_domain and suite.domain is None:
        raise InputError(
            f"--suite {suite.name}: no domain; expected `domain:` with one of {', '.join(domains)}, or `data.domain`"
        )
    if needs_domain and suite.domain not in domains:
        where = place(suite._lines, ("domain",), f"--suite {suite.name}")
        raise unknown_name(where, f"domain of preset {preset.name!r}", str(suite.domain), domains)
    corpora = preset.data.model_dump(mode="json", exclude={"domains"})
    if suite.domain in domains:
        text = domains[suite.domain].model_dump(mode="json")
        corpora |= {"domain": text["train"], "domain_heldout": text["heldout"]}
    tasks = preset.tasks.model_dump(
        mode="json", include={"num_fewshot", "fewshot", "data", "cluster", "batch_size", "limit", "limits"}
    )
    tasks |= {
        "groups": _groups(preset.tasks, suite.domain),
        "validation": _groups(preset.tasks.validation, suite.domain),
    }
    rest = preset.model_dump(mode="json", include={"model", "training", "probe", "options", "selection"})
    if suite.domain in preset.domains:
        own = preset.domains[suite.domain].options
        rest["options"] |= {name: getattr(own, name) for name in own.model_fields_set}
    return {**rest, "data": corpora, "tasks": tasks}


def _groups(tasks: PresetTaskSet, domain: str | None) -> dict[str, list[str]]:
    return {"general": list(tasks.general), **tasks.domains.get(domain or "", {})}


def _without_what_was_replaced(
    base: dict[str, Any], change: Mapping[str, Any], preset: Preset, keep_tasks: bool
) -> tuple[dict[str, Any], list[str]]:
    """`base` without what belongs to a model or corpus that `change` replaces, and a line for each loss of tasks.

    `change` is not validated yet.
    """

    def replaced(section: str, key: str) -> str | None:
        new = _inside(change, section).get(key)
        if new is None or new == base[section].get(key):
            return None
        parts = new if isinstance(new, list) else [new]
        return ", ".join(str(part.get("source") if isinstance(part, Mapping) else part) for part in parts) or str(new)

    base = {**base, **{part: dict(base[part]) for part in ("data", "model", "tasks", "selection")}}
    if "grid" in _inside(change, "selection"):
        base["selection"]["method_grids"] = {}
    new_model, new_domain, new_general = (
        replaced("model", "source"),
        replaced("data", "domain"),
        replaced("data", "general"),
    )
    if new_domain:
        base["data"]["domain_heldout"] = None
    if new_general and preset.world and new_general.startswith(f"{preset.world}:"):
        new_general = None  # of the same world: what is measured stays
    if new_general:
        base["data"]["general_heldout"] = None
        if not str(base["data"]["probe"]).startswith("tasks:"):  # benchmarks are probed whatever is replayed
            base["data"]["probe"] = None
    if new_model:
        base["model"] |= {"revision": None, "trust_remote_code": False, "sha256": None}
    lines: list[str] = []
    if preset.world:
        if new_model and not new_model.startswith(f"{preset.world}:") and not keep_tasks:
            lines += _drop(base, change, preset, f"model {new_model}", general=True, others=True)
        if new_domain:
            lines += _drop(base, change, preset, f"domain corpus {new_domain}", general=False, others=True)
        if new_general:
            lines += _drop(base, change, preset, f"general corpus {new_general}", general=True, others=False)
    return base, lines


def _inside(change: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The mapping at these keys of what is not validated yet; empty where there is none, or something else."""
    for name in names:
        found = change.get(name)
        change = found if isinstance(found, Mapping) else {}
    return change


def _drop(
    base: dict[str, Any], change: Mapping[str, Any], preset: Preset, why: str, *, general: bool, others: bool
) -> list[str]:
    """Drop the preset's groups (`general` with `general_*`, all `others`) from `base` in place; a line that says so.

    Those set by hand stay.
    """
    dropped: list[str] = []
    for kind in ("groups", "validation"):
        by_hand = _inside(change, "tasks", kind)
        kept = {}
        for group, names in base["tasks"][kind].items():
            of_general = group == "general" or group.startswith("general_")
            if group in by_hand or not (general if of_general else others):
                kept[group] = names
            else:
                dropped += names
        base["tasks"][kind] = kept
    if not dropped:
        return []
    names = ", ".join(dict.fromkeys(dropped))
    return [f"{why} is not of the {preset.world} world: leaving out its tasks {names}; losses are measured"]


def _validated(data: dict[str, Any], raw: Mapping[Location, str], lines: Lines, suite: str) -> RunConfig:
    try:
        config = RunConfig.model_validate(data)
    except ValidationError as error:
        # --set model.revision=1234567 is a text, though YAML reads a number
        texts = [
            at
            for problem in error.errors()
            if problem["type"] == "string_type"
            and (at := location(problem)) in raw
            and isinstance(problem["input"], int | float | date)
        ]
        if not texts:
            raise explain(error.errors(), RunConfig, lines, f"--suite {suite}") from None
        for at in texts:
            nested: Any = raw[at]
            for part in reversed(at):
                nested = {part: nested}
            data = merged(data, nested)
        rest = {at: text for at, text in raw.items() if at not in texts}
        return _validated(data, rest, lines, suite)
    if config.selection.method_grids:
        check_methods(config.selection.method_grids, place(lines, ("selection", "method_grids"), f"--suite {suite}"))
    option = "tasks.cluster"
    config._clustered.update({name: place(lines, ("tasks", "cluster", name), option) for name in config.tasks.cluster})
    return config
