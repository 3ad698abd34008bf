"""One level settled before the runs: the difference there, and which seeds speak of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from path_cells import bases, path_cells
from scipy import stats

from adept_bench.analysis.at_level import at_level
from adept_bench.analysis.paths import ACCURACY, LOSS, Path, path_of
from adept_bench.errors import InputError
from adept_bench.results.schema import Cell

Place = tuple[float, float]
FULL: list[Place] = [(0.3, 0.8), (0.7, 0.4), (0.9, 0.1)]
ADEPT: list[Place] = [(0.3, 0.85), (0.6, 0.7), (0.8, 0.4)]


def made(cell: Callable[..., Cell], method: str, places: Sequence[Place], **settings: object) -> list[Cell]:
    return path_cells(cell, method, places, **settings)


def paths(cells: Sequence[Cell], *methods: str) -> list[Path]:
    return [path_of(cells, method, parts=True) for method in methods]


def test_the_difference_at_the_level_is_that_of_the_lines_there(cell: Callable[..., Cell]) -> None:
    """Full CPT reaches 0.9 from 0.1, so 75% of its way is 0.7, where it keeps 0.4; ADEPT's line there is halfway from
    (0.6, 0.7) to (0.8, 0.4), 0.55."""
    cells = [*bases(cell, (0.1, 0.9)), *made(cell, "full", FULL), *made(cell, "adept", ADEPT)]
    adept, full = paths(cells, "adept", "full")
    found = at_level(adept, full, full, ACCURACY, 0.75)
    assert found.value == pytest.approx(0.7)
    assert found.seeds == (0, 1, 2)
    assert found.difference is not None
    assert found.difference.estimate.value == pytest.approx(0.15)


def test_documents_alone_are_random_with_one_seed(cell: Callable[..., Cell]) -> None:
    """There is an interval, and no part of it is of seeds."""
    cells = [*bases(cell, (0.1, 0.9), seeds=(0,), documents=8)]
    cells += [*made(cell, "full", FULL, seeds=(0,), documents=8), *made(cell, "adept", ADEPT, seeds=(0,), documents=8)]
    adept, full = paths(cells, "adept", "full")
    found = at_level(adept, full, full, LOSS, 0.75)
    assert found.difference is not None
    assert found.difference.spread is not None
    assert found.difference.estimate.value == pytest.approx(3 * 0.15)
    assert found.difference.spread.seed_error == 0.0
    assert found.difference.spread.item_error > 0.0


def test_the_interval_over_documents_is_that_of_paired_differences(cell: Callable[..., Cell]) -> None:
    """At a level that is a point of both paths the difference is a plain mean over documents, and its error the
    standard error of that mean."""
    rng = np.random.default_rng(0)
    places = [(0.3, 0.8), (0.7, 0.4)]
    cells = [*bases(cell, (0.1, 0.9), seeds=(0,), documents=60)]
    differences = rng.normal(0.05, 0.1, 60)
    for method, moved in (("full", np.zeros(60)), ("adept", differences)):
        for one in made(cell, method, places, seeds=(0,), documents=60):
            general = one.losses["general"]
            documents = (np.array(general.documents) - moved).tolist()
            changed = general.model_copy(update={"documents": documents, "after": float(np.mean(documents))})
            # what is learned is the same in every document, so that drawing documents moves nothing along the path
            learned = one.losses["domain"]
            still = learned.model_copy(update={"documents": [learned.after] * 60})
            cells.append(one.model_copy(update={"losses": {"general": changed, "domain": still}}))
    base = cells[0].losses["domain"]
    flat = base.model_copy(update={"documents": [base.after] * 60})
    cells[0] = cells[0].model_copy(update={"losses": {**cells[0].losses, "domain": flat}})
    adept, full = paths(cells, "adept", "full")
    found = at_level(adept, full, full, LOSS, 1.0 - 1e-12)
    assert found.difference is not None
    estimate = found.difference.estimate
    low, high = stats.t.interval(0.95, 59, differences.mean(), stats.sem(differences))
    assert estimate.value == pytest.approx(differences.mean(), abs=1e-6)
    assert estimate.low == pytest.approx(low, abs=0.004)
    assert estimate.high == pytest.approx(high, abs=0.004)


def test_a_seed_with_the_two_rates_about_the_level_counts(cell: Callable[..., Cell]) -> None:
    """ADEPT passes 0.7 between its second and third rate, full CPT ends its second one there."""
    cells = [*bases(cell, (0.1, 0.9)), *made(cell, "full", FULL), *made(cell, "adept", ADEPT)]
    thinned = [one for one in cells if not (one.seed == 1 and one.method == "adept" and one.rate == 0.001)]
    adept, full = paths(thinned, "adept", "full")
    found = at_level(adept, full, full, ACCURACY, 0.75)
    assert found.seeds == (0, 1, 2)
    assert found.difference is not None
    assert found.difference.by_seed[1] == pytest.approx(0.15)


def test_a_seed_without_one_of_them_does_not_and_says_so(cell: Callable[..., Cell]) -> None:
    cells = [*bases(cell, (0.1, 0.9)), *made(cell, "full", FULL), *made(cell, "adept", ADEPT)]
    thinned = [one for one in cells if not (one.seed == 1 and one.method == "adept" and one.rate == 0.002)]
    adept, full = paths(thinned, "adept", "full")
    found = at_level(adept, full, full, ACCURACY, 0.75)
    assert found.seeds == (0, 2)
    assert found.notes == ("adept in seed 1 has no cell of rate 0.002 next to the level",)


def test_a_seed_that_learns_too_little_does_not_count(cell: Callable[..., Cell]) -> None:
    low = [(0.2, 0.9), (0.3, 0.8), (0.4, 0.8)]
    cells = [*bases(cell, (0.1, 0.9)), *made(cell, "full", FULL), *made(cell, "adept", ADEPT, seeds=(0,))]
    cells += made(cell, "adept", low, seeds=(1, 2))
    adept, full = paths(cells, "adept", "full")
    found = at_level(adept, full, full, ACCURACY, 0.75)
    assert found.seeds == (0,)
    assert found.notes[0] == "adept in seed 1 attains 40.0%, not 70.0%"


def test_the_level_is_of_whole_paths_of_full_alone(cell: Callable[..., Cell]) -> None:
    """A seed in which full CPT lacks its best rate would lower the level."""
    cells = [*bases(cell, (0.1, 0.9)), *made(cell, "full", FULL), *made(cell, "adept", ADEPT)]
    thinned = [one for one in cells if not (one.seed == 2 and one.method == "full" and one.rate == 0.004)]
    adept, full = paths(thinned, "adept", "full")
    assert at_level(adept, full, full, ACCURACY, 0.75).value == pytest.approx(0.7)


def test_full_that_learns_nothing_sets_no_level(cell: Callable[..., Cell]) -> None:
    nothing = [(0.1, 0.8), (0.05, 0.4), (0.1, 0.1)]
    cells = [*bases(cell, (0.1, 0.9)), *made(cell, "full", nothing), *made(cell, "adept", ADEPT)]
    adept, full = paths(cells, "adept", "full")
    found = at_level(adept, full, full, ACCURACY, 0.75)
    assert found.difference is None
    assert "learns nothing" in found.reason


def test_without_a_whole_seed_there_is_no_path(cell: Callable[..., Cell]) -> None:
    cells = [*bases(cell, (0.1, 0.9), seeds=(0,)), *made(cell, "full", FULL, seeds=(0, 1))]
    some = [one for one in cells if not (one.seed == 0 and one.rate == 0.002)]
    with pytest.raises(InputError, match=r"seed 0 has no cell of rate 0\.002"):
        path_of(some, "full", parts=True)
