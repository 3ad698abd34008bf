"""The files of experiments/: where they are, and suites and presets read from them or from a user's own YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from adept_bench.config.names import EXPECTED, FILE_NAME, METHOD_NAMES, check_methods, named
from adept_bench.config.schema import SECTIONS, Preset, RunConfig, Suite
from adept_bench.config.sources import Lines, explain, merge_lines, merged, place, read_yaml
from adept_bench.errors import InputError, unknown_name

_Loaded = TypeVar("_Loaded", Suite, Preset)


def experiments_dir() -> Path:
    """Where suites, presets and chosen learning rates are: in the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    # the wheel's folder first: site-packages may hold an "experiments" of someone else's
    for folder in (package / "experiments", package.parent / "experiments"):
        if (folder / "suites").is_dir() and (folder / "presets").is_dir():
            return folder
    raise InputError(f"{package}: no experiments folder here or beside it; install the package again")


def learning_rates_file(preset: str, suite: str) -> Path:
    """Where the chosen learning rates of (preset, suite) and their evidence ship; the file need not exist."""
    return experiments_dir() / "learning_rates" / f"{preset}-{suite}.json"


def list_suites() -> dict[str, str]:
    """Description by name of the shipped suites, in alphabetical order."""
    return {path.stem: load_suite(str(path)).description for path in _shipped("suites").values()}


def preset_names() -> list[str]:
    """The shipped presets, in alphabetical order."""
    return list(_shipped("presets"))


def list_presets() -> dict[str, str]:
    """Description by name of the shipped presets, in alphabetical order."""
    return {path.stem: load_preset(str(path)).description for path in _shipped("presets").values()}


def load_suite(name_or_path: str) -> Suite:
    """The suite of that name, or in that YAML file. InputError lists every problem by file and line."""
    path = _find(name_or_path, "suites", "--suite", "suite")
    data, lines = read_yaml(path)
    suite = _validated(Suite, data, lines, path)
    _check_variants(suite, path)
    check_methods(suite.methods, place(lines, ("methods",), str(path)), suite.variants)
    if not suite.seeds:
        raise InputError(f"{place(lines, ('seeds',), str(path))}: seeds: [] is not valid; expected at least one seed")
    _check_part({key: data[key] for key in SECTIONS if key in data}, lines, path)
    return suite


def load_preset(name_or_path: str) -> Preset:
    """The preset of that name, or in that YAML file. InputError lists every problem by file and line."""
    path = _find(name_or_path, "presets", "--preset", "preset")
    data, lines = _with_base(path, ())
    preset = _validated(Preset, data, lines, path)
    _check_variants(preset, path)
    grids = preset.selection.method_grids
    if grids:
        check_methods(grids, place(lines, ("selection", "method_grids"), str(path)))
    _check_declared(preset, path)
    return preset


def _shipped(kind: str) -> dict[str, Path]:
    found = {path.stem: path for path in (experiments_dir() / kind).glob("*.yaml")}
    return dict(sorted(found.items()))


def _find(name_or_path: str, kind: str, option: str, what: str) -> Path:
    """A shipped file by name, else a path: whatever has a folder or a YAML ending."""
    shipped = _shipped(kind)
    if name_or_path in shipped:
        return shipped[name_or_path]
    path = Path(name_or_path)
    if "/" in name_or_path or path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise InputError(
                f"{option}: no file {name_or_path!r}; expected a YAML file or one of: {', '.join(shipped)}"
            )
        # the name becomes a folder of results
        if not named(FILE_NAME, path.stem):
            raise InputError(f"{option}: file name {path.name!r} is not valid; expected {EXPECTED[FILE_NAME]}")
        return path
    raise unknown_name(option, what, name_or_path, shipped)


def _with_base(path: Path, below: tuple[Path, ...]) -> tuple[dict[str, Any], Lines]:
    """The preset's data over that of the one it `extends`, and the place of each key."""
    if path in below:
        raise InputError(f"{path}: extends itself through {', '.join(str(one) for one in below)}")
    data, lines = read_yaml(path)
    base = data.pop("extends", None)
    if base is None:
        return data, lines
    where = lines[("extends",)]
    if not isinstance(base, str):
        raise InputError(f"{where}: extends: {base!r} is not valid; expected a preset's name or file")
    beside = path.parent / f"{base}.yaml"
    base_path = beside if beside.is_file() else _find(base, "presets", f"{where}: extends", "preset")
    base_data, base_lines = _with_base(base_path, (*below, path))
    return merged(base_data, data), merge_lines(base_lines, lines, data)


def _validated(model: type[_Loaded], data: dict[str, Any], lines: Lines, path: Path) -> _Loaded:
    if "name" in data:
        raise InputError(f"{place(lines, ('name',), str(path))}: unknown key 'name'; the file's name is the name")
    try:
        loaded = model.model_validate({**data, "name": path.stem})
    except ValidationError as error:
        raise explain(error.errors(), model, lines, str(path)) from None
    loaded._lines.update(lines)
    return loaded


def load_both(suite: str, preset: str | None) -> tuple[Suite, Preset]:
    """The suite, with the variants of the preset it is run on, and that preset: its own where none is named."""
    loaded = load_suite(suite)
    found = load_preset(preset or loaded.preset)
    return _on_preset(loaded, found), found


def _on_preset(suite: Suite, preset: Preset) -> Suite:
    """The suite with the preset's variants, which stand over its own of the same name."""
    if not preset.variants:
        return suite
    found = suite.model_copy(update={"variants": {**suite.variants, **preset.variants}})
    for at in [at for at in found._lines if at[:1] == ("variants",) and set(at[1:2]) & preset.variants.keys()]:
        del found._lines[at]
    found._lines.update({at: where for at, where in preset._lines.items() if at[:1] == ("variants",) and at[1:]})
    return found


def _check_variants(loaded: Suite | Preset, path: Path) -> None:
    """Names that are no method's; methods that exist; settings that fit."""
    lines = loaded._lines
    for name, variant in loaded.variants.items():
        where = place(lines, ("variants", name), str(path))
        if name in METHOD_NAMES:
            raise InputError(f"{where}: variant {name!r} has the name of a method; expected another one")
        check_methods([variant.of], place(lines, ("variants", name, "of"), str(path)))
        inner = {at[2:]: line for at, line in lines.items() if at[:2] == ("variants", name)}
        _check_part(variant.sections(), inner, path)


def _check_declared(preset: Preset, path: Path) -> None:
    """Its suite exists; so do its methods, or they are variants of preset or suite."""
    declared = preset.declared
    if declared is None:
        return
    lines = preset._lines
    suite = _find(declared.suite, "suites", place(lines, ("declared", "suite"), str(path)), "suite")
    variants = {**load_suite(str(suite)).variants, **preset.variants}
    named = {"method": [declared.method], "references": declared.references, "also": declared.also}
    for key, names in named.items():
        if names:
            check_methods(names, place(lines, ("declared", key), str(path)), variants)
    if declared.method in declared.references:
        where = place(lines, ("declared", "references"), str(path))
        raise InputError(f"{where}: {declared.method} is compared with itself; expected other methods")


def _check_part(sections: dict[str, Any], lines: Lines, path: Path) -> None:
    """Check a suite's sections without a preset: what they leave out is no error, what they hold may be."""
    try:
        RunConfig.model_validate(sections)
    except ValidationError as error:
        present = [problem for problem in error.errors() if problem["type"] != "missing"]
        if present:
            raise explain(present, RunConfig, lines, str(path)) from None
