"""adept-bench figures: what it writes, says and refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adept_bench.__main__ import main
from adept_bench.figures import registry
from adept_bench.figures.base import FigureKind
from adept_bench.figures.registry import FIGURES

FEW = "main_table,gains,losses"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def run(*arguments: object) -> int:
    return main(["figures", *map(str, arguments)])


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--only", "retentoin"], ["--only", "'retentoin'", "did you mean 'retention'?"]),
        (["--only", "gains,,retentoin"], ["did you mean 'retention'?"]),
        (["--only", ","], ["--only", "no figure", "retention"]),
        (["--format", "jpg"], ["--format", "'jpg'", "png, svg, pdf"]),
        (["--format", ""], ["--format", "png, svg, pdf"]),
        (["--preset", "labs"], ["--preset", "did you mean 'lab'?"]),
        (["--suite", "medicl"], ["--suite", "did you mean 'medical'?"]),
        (["--only", "token_shift"], ["nothing can be shown", "token_shift"]),
        (["--results", "nowhere"], ["--results", "'nowhere'"]),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(results, tmp_path, capsys, arguments, parts):
    assert run("--results", results, "--output", tmp_path / "out", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    for part in parts:
        assert part in err
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_refused(results, tmp_path, capsys):
    (tmp_path / "taken").write_text("mine")
    assert run("--results", results, "--output", tmp_path / "taken") == 2
    assert "--output" in capsys.readouterr().err
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    (tmp_path / "none").mkdir()
    assert run("--results", tmp_path / "none", "--output", tmp_path / "out") == 2
    assert "no readable result" in capsys.readouterr().err


def test_everything_that_can_be_shown(results, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("--results", results, "--output", out) == 0
    shown, said = capsys.readouterr()
    written = files(out)
    manifest = json.loads(written["manifest.json"])
    assert len(shown.splitlines()) == len(manifest["figures"])
    for line in shown.splitlines():
        path, count = line.split("  ")
        key = str(Path(path).relative_to(out).with_suffix(""))
        sources = manifest["figures"][key]["sources"]
        assert count == f"{len(sources)} result file{'s' if len(sources) > 1 else ''}"
        assert all((results / name).is_file() for name in sources)
    listed = {f"{key.rpartition('/')[0]}/{name}" for key, one in manifest["figures"].items() for name in one["files"]}
    assert listed | {"manifest.json"} == set(written)
    assert all(one["caption"] and one["sources"] for one in manifest["figures"].values())
    lines = said.splitlines()
    # all figures are either there or named with what they lack
    keys = {f"lab/medical/{name}" for name in FIGURES}
    assert set(manifest["figures"]) | set(manifest["missing"]) == keys
    for key in manifest["missing"]:
        name = key.rpartition("/")[2]
        assert any(line.startswith("not rendered: ") and name in line.split(" of lab/medical")[0] for line in lines)
    assert {"lab/medical/main_table.md", "lab/medical/main_table.tex", "lab/medical/retention.svg"} <= set(written)


def test_two_renders_are_the_same_bytes(results, tmp_path):
    for name in ("first", "second"):
        assert run("--results", results, "--output", tmp_path / name, "--only", FEW, "--format", "png,svg,pdf") == 0
    assert files(tmp_path / "first") == files(tmp_path / "second")


def test_processes_make_no_difference(results, tmp_path, monkeypatch):
    from adept_bench.figures import render

    monkeypatch.setattr(render, "MANY", 100)
    assert run("--results", results, "--output", tmp_path / "one", "--only", FEW) == 0
    monkeypatch.setattr(render, "MANY", 1)
    monkeypatch.setattr(render, "_cores", lambda: 2)
    assert run("--results", results, "--output", tmp_path / "two", "--only", FEW) == 0
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_only_some_and_then_all(results, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("--results", results, "--output", out, "--only", FEW, "--format", "png") == 0
    before = files(out)
    assert not [name for name in before if name.endswith(".svg")]
    assert run("--results", results, "--output", out, "--only", "retention", "--format", "png") == 0
    after = files(out)
    assert {name: after[name] for name in before if name != "manifest.json"} == {
        name: content for name, content in before.items() if name != "manifest.json"
    }
    for path in (results / "lab" / "medical").glob("full-*"):
        path.unlink()
    capsys.readouterr()
    assert run("--results", results, "--output", out, "--format", "png") == 0
    assert "lab/medical/gains.png" not in files(out)
    said = capsys.readouterr().err
    assert "gains" in said
    assert "'full'" in said
    assert "removed" in said


def test_a_damaged_file_is_named_and_left_out(results, tmp_path, capsys):
    place = results / "lab" / "medical"
    (place / "adept-seed1.json").write_text('{"schema_version": 1, "suite"')
    (place / "full-seed7.json").write_text((place / "full-seed0.json").read_text())
    (place / "lora-seed0.json").write_text('{"schema_version": 99}')
    (place / "notes.txt").write_text("not a cell")
    before = files(results)
    out = tmp_path / "out"
    assert run("--results", results, "--output", out, "--only", FEW, "--format", "svg") == 0
    said = capsys.readouterr().err
    for name in ("adept-seed1.json", "full-seed7.json", "lora-seed0.json"):
        assert name in said
    sources = json.loads((out / "manifest.json").read_text())["figures"]["lab/medical/gains"]["sources"]
    assert "lab/medical/adept-seed0.json" in sources
    assert len(sources) == 5
    assert files(results) == before


def test_what_does_not_compare_is_named_and_the_rest_drawn(results, tmp_path, capsys, invented, store_cells):
    def change(content):
        content["suite"] = "math"
        if content["method"] == "adept":
            content["training"]["tokens"] += 1

    store_cells(results, invented("vanilla full adept", change))
    out = tmp_path / "out"
    assert run("--results", results, "--output", out, "--only", FEW, "--format", "png") == 0
    shown, said = capsys.readouterr()
    assert shown.count("lab/medical") == 3
    assert "lab/math" not in shown
    assert "training tokens" in said


def test_a_fault_in_one_figure_keeps_the_others(results, tmp_path, capsys, monkeypatch):
    def broken(cells):
        raise ZeroDivisionError("by hand")

    monkeypatch.setitem(registry.FIGURES, "losses", FigureKind("losses", "L", "ours", broken))
    assert run("--results", results, "--output", tmp_path / "out", "--only", FEW, "--format", "png") == 1
    shown, said = capsys.readouterr()
    assert len(shown.splitlines()) == 2
    assert "losses of lab/medical: unexpected ZeroDivisionError: by hand" in said
    assert "Traceback" not in said


def test_the_command_needs_no_torch(results, tmp_path):
    blocked = tmp_path / "blocked"
    for name in ("torch", "transformers", "datasets", "lm_eval", "accelerate", "peft"):
        (blocked / name).mkdir(parents=True)
        (blocked / name / "__init__.py").write_text("raise ImportError('not for figures')")
    code = (
        "import sys; from adept_bench.__main__ import main; "
        f"code = main(['figures', '--results', {str(results)!r}, '--output', {str(tmp_path / 'out')!r}]); "
        "found = set(sys.modules) & {'torch', 'transformers', 'matplotlib.pyplot'}; "
        "print(sorted(found), file=sys.stderr); sys.exit(code)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(blocked), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"
    assert (tmp_path / "out" / "lab" / "medical" / "retention.png").is_file()


def test_list_figures(capsys):
    assert main(["list", "figures"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*FIGURES, "timing"]
