"""By simulation: the 95% interval of a difference at equal acquisition covers the truth about 95% of the time.

The worlds are those of path_worlds.py: paths that cross, end in a plateau, turn back, seeds of two kinds. A larger run,
whose table is in docs/acquisition.md: `python benchmarks/acquisition.py`.
"""

from __future__ import annotations

import numpy as np
import pytest
from path_worlds import WORLDS, Population

EXPERIMENTS = 100
TWO_KINDS = 0.92
"""Seeds of two kinds are not what Student's t is of: so much is covered in the larger run, and no less here."""


@pytest.mark.parametrize(
    ("world", "held", "seeds"),
    [
        ("equal", "acquisition", 3),
        ("apart", "acquisition", 4),
        ("apart", "retention", 5),
        ("crossing", "acquisition", 5),
        ("plateau", "acquisition", 3),
        ("beyond its best", "acquisition", 4),
        ("bimodal", "acquisition", 5),
        ("items alone", "acquisition", 3),
        ("items alone", "retention", 1),
        ("wide seeds", "acquisition", 5),
    ],
)
def test_interval_covers_the_truth(world, held, seeds):
    """Tolerance: three standard errors of the expected coverage over 100 experiments, 0.065 at 0.95."""
    outcomes = Population(WORLDS[world]).run(held, seeds, EXPERIMENTS)
    errors = np.array([outcome.value - outcome.truth for outcome in outcomes])
    assert len(outcomes) > 0.9 * EXPERIMENTS
    expected = TWO_KINDS if world == "bimodal" else 0.95
    tolerance = 3 * (expected * (1 - expected) / EXPERIMENTS) ** 0.5
    assert np.mean(np.abs(errors) <= [outcome.half for outcome in outcomes]) >= expected - tolerance
    assert abs(errors.mean()) < max(0.02, 0.5 * errors.std())
