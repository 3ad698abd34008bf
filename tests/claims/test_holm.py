from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from adept_bench.claims.holm import holm


def test_as_statsmodels():
    rng = np.random.default_rng(0)
    for size in (1, 2, 3, 7, 20, 45):
        for p_values in (rng.uniform(size=size), rng.uniform(size=size) ** 4, rng.choice([0.0, 0.01, 0.02, 1.0], size)):
            assert holm(p_values.tolist()) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_by_hand():
    assert holm([0.03, 0.01, 0.02]) == [0.04, 0.03, 0.04]
    assert holm([]) == []
