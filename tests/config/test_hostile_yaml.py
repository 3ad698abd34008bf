"""YAML that is meant to break its reader: each text ends with one line and exit code 2, in a file and in --set."""

from __future__ import annotations

import os
import time

import pytest

from adept_bench.__main__ import main
from adept_bench.config.loading import load_preset, load_suite, resolve
from adept_bench.config.sources import parse_value, read_yaml
from adept_bench.errors import InputError

NINE = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
HOSTILE = {
    "brackets": ("[" * 20_000, "nested more than 100 deep"),
    "indents": ("\n".join(f"{' ' * depth}a:" for depth in range(150)), "nested more than 100 deep"),
    "dashes": ("- " * 5000 + "x", "nested more than 100 deep"),
    "itself": ("a: &a [*a]", "stands inside of what it stands for"),
    "itself in a key": ("a: &a {b: *a}", "stands inside of what it stands for"),
    "nine-fold": (NINE, "more than 100000 values"),
    "wide": ("a: [" + "x, " * 100_001 + "]", "more than 100000 values"),
    "no alias": ("a: *x", "undefined alias"),
    "int": ("a: !!int abc", "'abc' is no int"),
    "no digits": ('a: !!int ""', "'' is no int"),
    "float": ("a: !!float abc", "'abc' is no float"),
    "bool": ("a: !!bool abc", "'abc' is no bool"),
    "timestamp": ("a: !!timestamp abc", "'abc' is no timestamp"),
    "date": ("a: 2020-13-45", "'2020-13-45' is no timestamp; in quotes it is text"),
    "time": ("a: 2020-02-30 10:00:00", "is no timestamp"),
    "digits": ("a: " + "9" * 5000, "5000 characters, too many for int"),
    "hours": ("a: 1" + ":59" * 2000, "too many for int"),
    "NUL": ("a: x\0y", "control character U+0000"),
    "escape": ("a: x\x1b[31m", "control character U+001B"),
    "written NUL": ('a: "x\\0y"', "control character U+0000"),
    "half a character": ('a: "\\ud800"', "control character U+D800"),
    "NUL in a key": ('"a\\0": 1', "control character U+0000 in a key"),
    "tag": ("a: !mine b", "could not determine a constructor"),
    "tag of a list": ("a: !!python/object/apply:os.system [ls]", "is not known here"),
    "set": ("a: !!set {b, c}", "the tag '!!set' is not known here"),
    "twice": ("{a: 1, a: 2}", "key 'a' is already set"),
    "no name": ("? [a]\n: b", "a key must be a plain name"),
    "two": ("a: 1\n---\nb: 2", "another document"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_is_refused_in_one_line_and_soon(tmp_path, name):
    text, part = HOSTILE[name]
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    started = time.process_time()
    for load in (load_preset, load_suite):
        with pytest.raises(InputError) as raised:
            load(str(path))
        assert str(raised.value).startswith(f"{path}:")
        assert part in str(raised.value)
        assert "\n" not in str(raised.value)
        assert len(str(raised.value)) < 500
    with pytest.raises(InputError) as raised:
        resolve("medical", overrides=[f"tasks.groups={text}"])
    assert str(raised.value).startswith("--set tasks.groups: ")
    assert part in str(raised.value)
    assert "\n" not in str(raised.value)
    assert time.process_time() - started < 10


def test_depth_and_aliases_up_to_the_limits_are_read(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("a: &x [1, 2]\nb: [*x, *x]\nc: " + "[" * 99 + "]" * 99, encoding="utf-8")
    value, lines = read_yaml(path)
    assert value["b"] == [[1, 2], [1, 2]]
    assert lines[("c",)] == f"{path}:3"
    path.write_text("c: " + "[" * 100 + "]" * 100, encoding="utf-8")
    with pytest.raises(InputError, match=r"own.yaml:1: .*100 deep"):
        read_yaml(path)
    assert parse_value("1e-3", "--set") == 0.001
    assert parse_value("", "--set") is None


@pytest.mark.parametrize("kind", ["suite", "preset"])
@pytest.mark.parametrize("what", ["text", "too large", "a FIFO", "a device"])
def test_the_command_ends_with_one_line_and_2(tmp_path, capsys, kind, what):
    path = tmp_path / "own.yaml"
    if what == "a FIFO":
        os.mkfifo(path)
    elif what == "a device":
        path.symlink_to("/dev/zero")
    else:
        path.write_text(NINE if what == "text" else "# \n" * 400_000, encoding="utf-8")
    chosen = {"suite": "medical", "preset": "lab", kind: str(path)}
    options = [part for name, value in chosen.items() for part in (f"--{name}", value)]
    assert main(["run", *options, "--results", str(tmp_path / "results")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert str(path) in err


@pytest.mark.parametrize(
    "setting", ["tasks=true", "tasks.validation=5", "tasks.groups=[]", "data=3.5", "data=x", "model=[]", "selection=1"]
)
def test_a_section_of_another_type_is_refused(setting):
    """Also those that say what else of the preset gives way, which is looked at before anything is validated."""
    with pytest.raises(InputError, match="--set: "):
        resolve("medical", overrides=[setting], model="other")
