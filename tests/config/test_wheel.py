"""What pyproject.toml promises of the wheel, without building one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from adept_bench.config import experiments

ROOT = Path(__file__).parents[2]


def test_experiments_travel_to_where_the_installed_package_looks(tmp_path, monkeypatch):
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert included["force-include"] == {"experiments": "adept_bench/experiments"}
    # laid out as installed, beside a stranger's folder of the same name
    for folder in ("adept_bench/experiments", "experiments"):
        for kind in ("suites", "presets"):
            (tmp_path / folder / kind).mkdir(parents=True)
    monkeypatch.setattr(experiments, "__file__", str(tmp_path / "adept_bench/config/experiments.py"))
    assert experiments.experiments_dir() == tmp_path / "adept_bench/experiments"
    assert experiments.learning_rates_file("lab", "medical") == (
        tmp_path / "adept_bench/experiments/learning_rates/lab-medical.json"
    )


def test_a_package_without_experiments_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "__file__", str(tmp_path / "adept_bench/config/experiments.py"))
    with pytest.raises(experiments.InputError, match="no experiments folder"):
        experiments.experiments_dir()
