"""Power against the noncentral t, and against simulation where seeds and items both vary."""

from __future__ import annotations

import json

import numpy as np
import pytest
from path_cells import world
from scipy import stats

from adept_bench.__main__ import main
from adept_bench.analysis.spread import Spread
from adept_bench.claims import plan_power, power_as_json, power_as_markdown, power_as_text
from adept_bench.claims.loading import load_ledger
from adept_bench.claims.power import power, smallest_effect


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_without_items_it_is_the_noncentral_t(seeds, level):
    spread = Spread(0.0, 2.0 / seeds**0.5, seeds - 1, 0.0, 1.0)
    limit = stats.t.isf((1 - level) / 2, seeds - 1)
    for effect in (1.0, 2.0, 3.0):  # scipy's own gives nan far out
        shift = effect / spread.seed_error
        exact = stats.nct.sf(limit, seeds - 1, shift) + stats.nct.cdf(-limit, seeds - 1, shift)
        assert power(spread, effect, level) == pytest.approx(exact, abs=0.01)
    assert power(spread, smallest_effect(spread, level), level) == pytest.approx(0.8, abs=1e-3)


def test_without_seeds_it_is_the_normal():
    spread = Spread(0.0, 0.0, 1, 2.0, 10_000)
    assert smallest_effect(spread, 0.95) == pytest.approx(2.0 * (1.95996 + 0.84162), rel=1e-3)
    assert smallest_effect(Spread(0.0, 0.0, 1, 0.0, 10), 0.95) == 0.0


@pytest.mark.parametrize(("seeds", "seed_error", "level"), [(3, 1.0, 0.95), (5, 1.0, 1 - 0.05 / 6), (5, 0.4, 0.95)])
def test_both_parts_against_simulation(seeds, seed_error, level):
    """The true errors 400 times: seeds drawn and their spread estimated, items known; three standard errors: 0.06."""
    rng, df = np.random.default_rng(0), seeds - 1
    truth = Spread(0.0, seed_error, df, 1.0, 500)
    effect, found = smallest_effect(truth, level), 0
    for _ in range(400):
        by_seed = effect + rng.normal(0, seed_error * seeds**0.5, seeds)
        seen = Spread(by_seed.mean() + rng.normal(0, 1.0), by_seed.std(ddof=1) / seeds**0.5, df, 1.0, 500)
        found += seen.p_value() < 1 - level
    assert found / 400 == pytest.approx(0.8, abs=0.06)


def test_more_seeds_see_more_and_a_larger_family_less():
    planned = {one.id: one for one in plan_power([], ["nothing yet"])}
    one = planned["kept-over-full-medical"]
    assert (one.basis.source, one.tests, one.level) == ("assumed", 6, pytest.approx(1 - 0.05 / 6))
    assert [size.seeds for size in one.detectable] == [3, 5, 10]
    sizes = [(size.adjusted, size.single) for size in one.detectable]
    assert sizes == sorted(sizes, reverse=True)
    assert all(adjusted > single for adjusted, single in sizes)
    assumed = load_ledger().assumed["points"]
    three = Spread(0.0, assumed.seed_sd / 3**0.5, 2, assumed.item_error, 10_000)
    assert sizes[0][1] == pytest.approx(smallest_effect(three, 0.95))
    # what is exact, not implemented or stored by no suite has no power to speak of
    assert not {"trainable-share", "merging", "general-over-tasl-math"} & planned.keys()
    assert one.tests + planned["full-forgets-math"].tests == len(planned)


def test_stored_spreads_are_taken_where_there_are_any(cell):
    cells = world(cell, {"full": [(0.2, 0.8), (0.6, 0.4)], "adept": [(0.2, 0.9), (0.5, 0.6)]})
    planned = {one.id: one for one in plan_power(cells, ["lab"])}
    assert planned["kept-over-full-medical"].basis.source == "3 seeds of medical"
    assert planned["kept-over-full-medical"].basis.seed_sd == pytest.approx(0.0, abs=1e-9)
    assert planned["kept-over-full-math"].basis.source == "assumed"


def test_every_format(capsys):
    planned = plan_power([], ["nothing yet"])
    text = power_as_text(planned)
    assert max(map(len, text.splitlines())) <= 120
    assert "Primary claims (Holm over 6, level 99.17%)" in text
    assert "…" not in text  # nothing is cut off
    lines = [line for line in power_as_markdown(planned).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {7}
    document = json.loads(power_as_json(planned))
    assert document["power"][0]["detectable"][0]["seeds"] == 3
    assert main(["claims", "--power", "--results", "nowhere", "--preset", "qwen3-8b", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["power"][0]["preset"] == "qwen3-8b"
    assert main(["claims", "--power", "--results", "nowhere", "--preset", "qwen3-8"]) == 2
    assert "did you mean 'qwen3-8b'" in capsys.readouterr().err
