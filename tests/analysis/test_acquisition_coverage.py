"""By simulation: the 95% interval of a difference at equal acquisition covers the truth about 95% of the time.

The worlds are those of path_worlds.py: paths that cross, end in a plateau, turn back, seeds of two kinds. A larger run,
whose table is in docs/acquisition.md: `python benchmarks/acquisition.py`.
"""

from __future__ import annotations

import numpy as np
import pytest
from path_worlds import WORLDS, Population

EXPERIMENTS = 100


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
    """Tolerance: the standard error of a coverage of 0.95 over 100 experiments is 0.022; three of them below."""
    outcomes = Population(WORLDS[world]).run(held, seeds, EXPERIMENTS)
    errors = np.array([outcome.value - outcome.truth for outcome in outcomes])
    assert len(outcomes) > 0.9 * EXPERIMENTS
    assert np.mean(np.abs(errors) <= [outcome.half for outcome in outcomes]) >= 0.885
    assert abs(errors.mean()) < max(0.02, 0.5 * errors.std())
