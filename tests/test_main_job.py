"""The main job on the lab, small: the command a newcomer runs, with fewer steps and items."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema

from adept_bench.config.names import CORE_METHODS
from adept_bench.results.schema import SCHEMA_FILE
from adept_bench.results.store import Store

SMALL = ["--set", "training.tokens=10240", "--set", "options.refresh_every=8", "--set", "tasks.limit=24"]


def _run(*arguments, folder):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(
        [sys.executable, "-m", "adept_bench", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_seven_methods_in_two_workers_then_nothing_left_to_do(tmp_path):
    first = _run("run", "--suite", "medical", *SMALL, "--jobs", "2", folder=tmp_path)
    assert first.returncode == 0, first.stderr
    files = sorted((tmp_path / "results" / "lab" / "medical").glob("*.json"))
    assert {file.name for file in files} == {f"{method}-seed0.json" for method in CORE_METHODS}
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    for file in files:
        jsonschema.validate(json.loads(file.read_text(encoding="utf-8")), schema)
    cells = {cell.method: cell for cell in Store(tmp_path / "results").load_all()}
    for method in CORE_METHODS:
        assert method in first.stdout
        assert set(cells[method].groups) == {"general", "general_statement", "domain", "domain_known"}
        assert cells[method].tasks["lab_general"].items_hash == cells["vanilla"].tasks["lab_general"].items_hash
    assert cells["vanilla"].groups["general"] > 0.8
    stamps = [file.stat().st_mtime_ns for file in files]
    again = _run("run", "--suite", "medical", *SMALL, folder=tmp_path)
    assert again.returncode == 0
    assert again.stdout == first.stdout
    assert [file.stat().st_mtime_ns for file in files] == stamps
    shown = _run("show", "--format", "json", folder=tmp_path)
    (table,) = json.loads(shown.stdout)["tables"]
    assert [row["method"] for row in table["rows"]] == list(CORE_METHODS)
