"""The lab separates methods: measured over the stored results of its suites, three or five base seeds each."""

from pathlib import Path

import numpy as np
import pytest

from adept_bench.analysis.paths import path_of
from adept_bench.lab.items import CHOICES
from adept_bench.results.store import Store

RESULTS = Path(__file__).parents[2] / "results"
SEEDS = {("lab", "medical"): 5, ("lab", "math"): 5, ("lab-redundant", "medical"): 5}
PLACES = list(SEEDS)
PATHS = [("lab", "medical", 5), ("lab-redundant", "medical", 5)]
"""Stored over all rates: under so many seeds at least."""
CORE = ("full", "replay", "llama-pro", "frozen", "lora", "adept", "adept-probe-text")
CONTROLS = {"adept-last": 4, "replay-untested": 4}
"""With a number of seeds of their own."""
FROZEN_BACKBONE = ("llama-pro", "frozen", "lora", "adept")


@pytest.fixture(scope="module", params=PLACES, ids="/".join)
def place(request):
    return request.param


@pytest.fixture(scope="module")
def cells(place):
    return {(cell.method, cell.seed): cell for cell in Store(RESULTS).load_all(*place)}


@pytest.fixture(scope="module")
def seeds(cells):
    return sorted({seed for _, seed in cells})


@pytest.fixture(scope="module")
def mean(cells, seeds):
    return lambda method, group: np.mean(
        [cells[method, seed].groups[group] for seed in seeds if (method, seed) in cells]
    )


def test_enough_base_seeds_are_stored(cells, seeds, place):
    assert len(seeds) >= SEEDS[place]
    assert len({cells["vanilla", seed].model.hash for seed in seeds}) == len(seeds)


def test_bases_know_the_general(mean):
    assert mean("vanilla", "general") > 0.90


def test_each_base_knows_the_general_and_not_the_new(cells, seeds):
    for seed in seeds:
        groups = cells["vanilla", seed].groups
        assert groups["general"] > 0.85
        assert abs(groups["domain"] - 1 / CHOICES) < 0.15


def test_full_pretraining_learns_and_forgets(mean):
    assert mean("full", "domain") - mean("vanilla", "domain") >= 0.30
    assert mean("vanilla", "general") - mean("full", "general") >= 0.05


@pytest.mark.parametrize("method", FROZEN_BACKBONE)
def test_frozen_backbones_leave_the_floor(mean, method):
    assert mean(method, "domain") - mean("vanilla", "domain") >= 0.10


def test_group_scores_are_sharp(cells):
    for cell in cells.values():
        for name in cell.groups:
            tasks = [task for task in cell.tasks.values() if task.group == name]
            assert np.sqrt(sum(task.stderr**2 for task in tasks)) / len(tasks) < 0.02


def test_no_chosen_rate_sits_on_the_edge_of_its_grid(cells, place):
    for (method, _), cell in cells.items():
        if method != "vanilla":
            choice = cell.learning_rate
            assert choice.source in ("shipped", "selected")
            assert choice.differs == []
            assert min(choice.grid) < choice.value < max(choice.grid), method
            ratios = [high / low for low, high in zip(choice.grid, choice.grid[1:])]
            assert ratios == pytest.approx([2.0] * len(ratios))
    grids = {tuple(cell.learning_rate.grid) for cell in cells.values() if cell.learning_rate.grid}
    assert len({len(grid) for grid in grids}) == 1


def test_every_certificate_holds(cells):
    for cell in cells.values():
        if cell.certificate:
            assert all(value is not False for value in cell.certificate.values())
        if cell.training.steps:
            assert cell.training.details["frozen_identical"] is True


@pytest.mark.parametrize(("preset", "suite", "seeds"), PATHS)
def test_paths_are_whole(preset, suite, seeds):
    """Seven rates a method, factors of two apart, the same ones under every seed, on the same items as the base."""
    cells = Store(RESULTS).load_all(preset, suite, paths=True)
    for method in (*CORE, *CONTROLS):
        path = path_of(cells, method)
        assert len(path.rates) == 7
        assert [high / low for low, high in zip(path.rates, path.rates[1:])] == pytest.approx([2.0] * 6)
        assert len(path.cells) >= CONTROLS.get(method, seeds), method
    for cell in cells:
        if cell.method != "vanilla":
            assert cell.validation is not None
            assert len(cell.training.path) == 8
            assert all(pair.documents for pair in cell.losses.values())
