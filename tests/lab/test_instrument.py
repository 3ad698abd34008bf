"""The lab separates methods: measured over the stored results of `run --suite medical`, at least 3 base seeds."""

from pathlib import Path

import numpy as np
import pytest

from adept_bench.lab.items import CHOICES
from adept_bench.results.store import Store

RESULTS = Path(__file__).parents[2] / "results"
CELLS = {(cell.method, cell.seed): cell for cell in Store(RESULTS).load_all("lab", "medical")}
SEEDS = sorted({seed for _, seed in CELLS})
FROZEN_BACKBONE = ("llama-pro", "frozen", "lora", "adept")


def _mean(method, group):
    return np.mean([CELLS[method, seed].groups[group] for seed in SEEDS])


def test_three_base_seeds_are_stored():
    assert len(SEEDS) >= 3
    assert len({CELLS["vanilla", seed].model.hash for seed in SEEDS}) == len(SEEDS)


def test_bases_know_the_general():
    assert _mean("vanilla", "general") > 0.90


@pytest.mark.parametrize("seed", SEEDS)
def test_each_base_knows_the_general_and_not_the_new(seed):
    groups = CELLS["vanilla", seed].groups
    assert groups["general"] > 0.85
    assert abs(groups["domain"] - 1 / CHOICES) < 0.15


def test_full_pretraining_learns_and_forgets():
    assert _mean("full", "domain") - _mean("vanilla", "domain") >= 0.30
    assert _mean("vanilla", "general") - _mean("full", "general") >= 0.05


@pytest.mark.parametrize("method", FROZEN_BACKBONE)
def test_frozen_backbones_leave_the_floor(method):
    assert _mean(method, "domain") - _mean("vanilla", "domain") >= 0.10


def test_group_scores_are_sharp():
    for cell in CELLS.values():
        for name in cell.groups:
            tasks = [task for task in cell.tasks.values() if task.group == name]
            assert np.sqrt(sum(task.stderr**2 for task in tasks)) / len(tasks) < 0.02


def test_no_chosen_rate_sits_on_the_edge_of_its_grid():
    for (method, _), cell in CELLS.items():
        if method != "vanilla":
            choice = cell.learning_rate
            assert choice.source in ("shipped", "selected")
            assert choice.differs == []
            assert min(choice.grid) < choice.value < max(choice.grid), method
            ratios = [high / low for low, high in zip(choice.grid, choice.grid[1:])]
            assert ratios == pytest.approx([2.0] * len(ratios))
    grids = {tuple(cell.learning_rate.grid) for cell in CELLS.values() if cell.learning_rate.grid}
    assert len({len(grid) for grid in grids}) == 1


def test_every_certificate_holds():
    for cell in CELLS.values():
        if cell.certificate:
            assert all(value is not False for value in cell.certificate.values())
        if cell.training.steps:
            assert cell.training.details["frozen_identical"] is True
