from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from adept_bench.cli.show import print_comparison, show_command
from adept_bench.errors import InputError
from adept_bench.results.store import Store


@pytest.fixture
def results(tmp_path, example):
    for method in ("vanilla", "full", "adept"):
        Store(tmp_path).write(example(method))
    Store(tmp_path).write(example("full", suite="math"))
    return tmp_path


def run(*arguments):
    app = typer.Typer()
    app.command()(show_command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_json_on_stdout(results):
    done = run("--results", results, "--suite", "medical", "--format", "json")
    assert done.exit_code == 0
    (table,) = json.loads(done.stdout)["tables"]
    assert [row["method"] for row in table["rows"]] == ["vanilla", "full", "adept"]
    assert len(json.loads(run("--results", results, "--format", "json").stdout)["tables"]) == 2


@pytest.mark.parametrize("format", ["table", "markdown"])
def test_tables_name_suite_and_methods(results, format):
    text = run("--results", results, "--format", format).stdout
    for word in ("medical on lab", "math on lab", "vanilla", "adept"):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "medcal"], "did you mean 'medical'"),
        (["--preset", "labs"], "did you mean 'lab'"),
    ],
)
def test_unknown_names_get_the_nearest(results, arguments, message):
    error = run("--results", results, *arguments).exception
    assert isinstance(error, InputError)
    assert message in str(error)


def test_nothing_to_show_is_an_input_error(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        error = run("--results", folder).exception
        assert isinstance(error, InputError)
        assert str(folder) in str(error)


def test_after_a_run_the_references_are_shown_beside_it(results, capsys):
    print_comparison(results, presets=["lab"], suites=["medical"], methods=["adept"], seeds=[0])
    text = capsys.readouterr().out
    assert "vanilla" in text
    assert "math" not in text
    print_comparison(results, presets=["lab"], suites=["medical"], methods=["adept"], seeds=[5])
    assert capsys.readouterr().out == ""


def test_results_and_analysis_import_no_torch():
    modules = (
        "adept_bench.cli.show, adept_bench.analysis.render, adept_bench.analysis.paired, adept_bench.results.store"
    )
    check = f"import sys, {modules}; print({{'torch', 'transformers', 'lm_eval', 'datasets'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "set()\n"
