"""The claim on training time, from timings of `bench`: against scipy, and the paper's bound on its own backbones."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from adept_bench.claims import evaluate_timings
from adept_bench.claims.verdicts import DIRECTION, INCONCLUSIVE, NO_DATA, NOT, REPRODUCED
from adept_bench.results.timing import TIMING_VERSION, Timing


@pytest.fixture
def timing(example):
    def make(method, steps, shape="qwen3-8b", **settings):
        content = {
            "schema_version": TIMING_VERSION,
            "shape": shape,
            "method": method,
            "device": "a device",
            "layers": 36,
            "total_parameters": 1_000_000 if shape == "lab" else 2_000_000_000,
            "trainable_parameters": 10,
            "settings": {"length": 8, "layers": method, **settings},
            "step_seconds": list(steps),
            "tokens_per_step": 8,
            "flops_per_step": 1e6,
            "peak_memory_bytes": 1,
            "predicted_peak_bytes": 1,
            "provenance": example("adept", 0)["provenance"],
        }
        return Timing.model_validate_json(json.dumps(content))

    return make


def _row(*timings):
    (row,) = evaluate_timings({f"timing/a-device/{one.shape}-{one.method}.json": one for one in timings})
    return row


def _steps(mean, count=30, seed=0):
    return mean * np.exp(np.random.default_rng(seed).normal(0, 0.05, count))


def test_the_ratio_and_its_interval_as_scipy(timing):
    mine, full = _steps(0.4), _steps(1.0, 31, seed=1)
    row = _row(timing("adept", mine), timing("full", full))
    logs = np.log(mine / full[:30])
    low, high = stats.t.interval(0.95, 29, logs.mean(), logs.std(ddof=1) / np.sqrt(30))
    assert row["estimate"]["value"] == pytest.approx(np.exp(logs.mean()))
    assert (row["estimate"]["low"], row["estimate"]["high"]) == pytest.approx((np.exp(low), np.exp(high)), rel=1e-6)
    assert row["p"] == pytest.approx(stats.ttest_1samp(logs, 0.0).pvalue, rel=1e-3, abs=1e-12)
    assert row["sources"] == ["timing/a-device/qwen3-8b-adept.json", "timing/a-device/qwen3-8b-full.json"]


@pytest.mark.parametrize(
    ("shape", "share", "verdict"),
    [
        ("qwen3-8b", 0.4, REPRODUCED),
        ("llama3-8b", 0.4, REPRODUCED),
        ("qwen3-8b", 0.7, DIRECTION),
        ("qwen3-8b", 1.3, NOT),
        ("olmo2-1b", 0.4, DIRECTION),  # the bound is the paper's backbones'
        ("lab", 0.4, INCONCLUSIVE),  # too small for its seconds to be those of a language model
    ],
)
def test_the_verdict_by_the_written_rules(timing, shape, share, verdict):
    assert _row(timing("adept", _steps(share), shape), timing("full", _steps(1.0, seed=1), shape))["verdict"] == verdict


def test_what_cannot_be_judged_says_why(timing):
    alone = _row(timing("adept", [0.4]))
    assert (alone["verdict"], alone["rule"], alone["missing"]["methods"]) == (NO_DATA, "no timing of full", ["full"])
    other = _row(timing("adept", [0.4, 0.5], length=4), timing("full", [1.0, 1.1]))
    assert (other["verdict"], other["rule"]) == (NO_DATA, "timings of different settings: length")
    single = _row(timing("adept", [0.4]), timing("full", [1.0]))
    assert (single["verdict"], single["estimate"]["low"]) == (INCONCLUSIVE, None)
