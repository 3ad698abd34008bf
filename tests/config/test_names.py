"""Names: what is one, and that nothing else gets in through YAML, options or result files."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adept_bench.__main__ import main
from adept_bench.config.names import FILE_NAME, METHOD_NAMES, NAME, named
from adept_bench.errors import InputError
from adept_bench.results.compact import compact_training, dumps
from adept_bench.results.schema import json_schema
from adept_bench.results.store import Store
from adept_bench.results.timing import load_timings

ROOT = Path(__file__).parents[2]
example = runpy.run_path(str(ROOT / "tests" / "results" / "example_cell.py"))["example"]
HOSTILE = [
    "a\nb",
    "x\n",
    "\x1b[31m",
    "a\u202eb",
    "<b>",
    "$$",
    "a$b",
    "}",
    "=1",
    "**x**",
    "a|b",
    "^^5c",
    "a`",
    "../x",
    "",
]


@pytest.mark.parametrize(
    "name",
    [
        *("mmlu_abstract_algebra", "arc_easy", "ceval-valid_law", "wmt16-en-ro", "acc,none", "pass@1", "maj@64"),
        *(
            "acc_definició",
            "bits_per_byte",
            "general/wiki",
            "probe corpus",
            "exact_match,get-answer",
            "医学_题",
            "0_accuracy",
        ),
    ],
)
def test_names_in_use(name):
    assert named(NAME, name)


@pytest.mark.parametrize("name", [*METHOD_NAMES, "lab-redundant", "qwen3-1.7b", "pilot-math", "adept-k4", "my_own.v2"])
def test_names_of_files_in_use(name):
    assert named(FILE_NAME, name)
    assert named(NAME, name)


@pytest.mark.parametrize("name", [*HOSTILE, " x", "x ", "-x", "+x", "@x", "é\u0301", "\u05d0", "a\u200db", "😀"])
def test_no_names(name):
    assert not named(NAME, name)
    assert not named(FILE_NAME, name)


@settings(deadline=None, max_examples=80)
@given(st.text(max_size=8))
def test_a_name_needs_no_escape(name):
    if named(NAME, name):
        assert name == name.strip()
        assert name.isprintable()
        assert not set(name) & set("<>$^|`\\{}[]*&#%~=\"';!?()")
        assert name[0] not in "=+-@.,:/"


YAML = (
    ("tasks.groups", "tasks: {{groups: {{{0}: [lab_general]}}}}"),
    ("tasks.groups.general.0", "tasks: {{groups: {{general: [{0}]}}}}"),
    ("tasks.fewshot", "tasks: {{fewshot: {{{0}: 1}}}}"),
    ("variants", "variants: {{{0}: {{of: adept, about: k}}}}"),
    ("selection.shared_with", "selection: {{shared_with: {0}}}"),
    ("domain", "domain: {0}"),
)


def crossed(places):
    """Each name in the first place, and the first name in each place."""
    first, *others = places
    return [(name, first) for name in HOSTILE] + [(HOSTILE[0], place) for place in others]


@pytest.mark.parametrize(("name", "place"), crossed(YAML))
def test_yaml_is_refused_by_line(tmp_path, capsys, name, place):
    what, yaml = place
    path = tmp_path / "own.yaml"
    path.write_text(f"description: x\n{yaml.format(json.dumps(name))}\n", encoding="utf-8")
    assert main(["plan", "--suite", str(path)]) == 2
    error = capsys.readouterr().err
    said = "the control character" if "\x1b" in name else what  # no YAML has one
    assert error.startswith(f"{path}:2: {said}"), error
    assert error.count("\n") == 1
    assert error[:-1].isprintable()


@pytest.mark.parametrize("name", HOSTILE[:6])
def test_options_are_refused(capsys, name):
    # a YAML key in braces, as --set reads it
    given = f"tasks.groups={{{json.dumps(name)}: [lab_general]}}"
    assert main(["plan", "--suite", "medical", "--set", given]) == 2
    assert main(["plan", "--suite", "medical", "--methods", f"adept,{name}"]) == 2
    assert main(["plan", "--suite", name]) == 2
    errors = capsys.readouterr().err
    assert ("--set tasks.groups" if "\x1b" in name else "--set: tasks.groups") in errors
    assert errors.replace("\n", "").isprintable()
    assert errors.count("\n") == 3


def _written(folder: Path, change) -> Path:
    """The file of a cell that `change` has changed, under the name of an unchanged one."""
    cell = {"schema_version": 1, "status": "complete", **example()}
    cell["training"] = compact_training(cell["training"])
    change(cell)
    path = folder / "lab" / "medical" / "adept-seed0.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dumps(cell), encoding="utf-8")
    return path


def _renamed(field: str):
    def change(cell, name):
        cell[field][name] = cell[field].pop(next(iter(cell[field])))

    return change


PLACES = {
    "suite": lambda cell, name: cell.update(suite=name),
    "preset": lambda cell, name: cell.update(preset=name),
    "method": lambda cell, name: cell.update(method=name),
    "tasks": _renamed("tasks"),
    "groups": _renamed("groups"),
    "losses": _renamed("losses"),
    "tasks.task_domain.group": lambda cell, name: cell["tasks"]["task_domain"].update(group=name),
    "tasks.task_domain.metric": lambda cell, name: cell["tasks"]["task_domain"].update(metric=name),
    "tasks.task_domain.filter": lambda cell, name: cell["tasks"]["task_domain"].update(filter=name),
}


@pytest.mark.parametrize(("name", "place"), crossed(PLACES))
def test_a_result_file_is_left_out(tmp_path, capsys, name, place):
    Store(tmp_path).write(example("full"))
    path = _written(tmp_path, lambda cell: PLACES[place](cell, name))
    assert main(["show", "--results", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.err.startswith(f"left out: {path}: not a valid cell: {place}"), said.err
    assert said.err.count("\n") == 1
    assert said.err[:-1].isprintable()
    content = json.loads(path.read_text(encoding="utf-8"))
    if name != "x\n":  # Python's `$` matches before the end of a line
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(content, json_schema())


def test_a_timing_is_left_out(tmp_path, capsys):
    (source,) = (ROOT / "results" / "timing").glob("*/lab-adept.json")
    path = tmp_path / "timing" / "cpu" / "lab-adept.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**json.loads(source.read_text()), "method": "\x1b[31m\nadept"}), encoding="utf-8")
    refused = {}
    assert load_timings(tmp_path, refused.__setitem__) == {}
    (reason,) = refused.values()
    assert "method: '\\x1b[31m\\nadept' is not valid; expected a name" in reason
    assert "\n" not in reason


def test_a_run_does_not_store_what_could_not_be_read(tmp_path):
    cell = example()
    cell["tasks"]["<b>"] = cell["tasks"].pop("task_domain")
    with pytest.raises(ValueError, match=r"tasks\.<b>"):
        Store(tmp_path).write(cell)
    assert not list(tmp_path.iterdir())


def test_the_file_of_a_suite_needs_a_name(tmp_path):
    from adept_bench.config.experiments import load_suite

    path = tmp_path / "a\nb.yaml"
    path.write_text("domain: medical\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"^--suite: file name 'a\\nb.yaml' is not valid; expected a name of letters"):
        load_suite(str(path))
