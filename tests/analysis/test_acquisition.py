"""Paths, ranges, levels and estimates on cells whose envelopes are known."""

from __future__ import annotations

import numpy as np
import pytest
from path_cells import bases, path_cells, point, world
from scipy import stats

from adept_bench.analysis.acquisition import at_equal_acquisition, at_equal_retention, best_of
from adept_bench.analysis.paths import ACCURACY, LOSS, STATEMENT, path_of
from adept_bench.errors import InputError

FULL = [(0.2, 0.8), (0.6, 0.4), (0.9, 0.1)]
BETTER = [(0.2, 0.9), (0.5, 0.6), (0.7, 0.5)]


@pytest.fixture
def two(cell):
    """Cells of full CPT's path and of one that keeps more and learns less."""
    return world(cell, {"full": FULL, "adept": BETTER})


def test_by_hand(two):
    adept, full = path_of(two, "adept"), path_of(two, "full")
    found = at_equal_acquisition(adept, full, ACCURACY, full)
    assert (found.range.low, found.range.high) == pytest.approx((0.1, 0.7))
    assert found.range.ends == "adept in seed 0"
    # full's line is 1 - a all along; adept's .9 to .2, then 1.1 - a, from .5 on .85 - a / 2
    levels = np.linspace(0.1, 0.7, 101)
    ours = np.select([levels <= 0.2, levels <= 0.5], [np.full(101, 0.9), 1.1 - levels], 0.85 - levels / 2)
    assert found.mean.estimate.value == pytest.approx(np.mean(ours - (1 - levels)))
    assert list(found.mean.by_seed) == [0, 1, 2]
    # levels at .1 + q .8
    values = [(level.share, level.value, one and one.estimate.value) for level, one in found.levels]
    assert values == [
        (0.25, pytest.approx(0.3), pytest.approx(0.8 - 0.7)),
        (0.5, pytest.approx(0.5), pytest.approx(0.6 - 0.5)),
        (0.75, pytest.approx(0.7), pytest.approx(0.5 - 0.3)),
    ]
    assert found.best["adept"].acquisition.value == pytest.approx(0.7)
    assert found.best["adept"].kept == pytest.approx(0.5)
    assert found.best["adept"].rates == {0: 0.004, 1: 0.004, 2: 0.004}
    assert found.mean.estimate.cells == 3 * 7
    assert not found.reasons


def test_mirrored_by_hand(two):
    adept, full = path_of(two, "adept"), path_of(two, "full")
    found = at_equal_retention(adept, full, ACCURACY, full)
    # adept keeps .5 where it learned most; below that it has nothing to give
    assert (found.range.low, found.range.high) == pytest.approx((0.5, 0.9))
    kept = np.linspace(0.5, 0.9, 101)
    ours = np.where(kept <= 0.6, 1.7 - 2 * kept, 1.1 - kept)
    assert found.mean.estimate.value == pytest.approx(np.mean(ours - (1 - kept)))
    # full loses .8 where it learned most: levels at .7, .5 and .3, the last below adept's own end
    values = [(level.value, one.estimate.value) for level, one in found.levels]
    assert values == [
        (pytest.approx(0.7), pytest.approx(0.4 - 0.3)),
        (pytest.approx(0.5), pytest.approx(0.7 - 0.5)),
        (pytest.approx(0.3), pytest.approx(0.7 - 0.7)),
    ]


def test_losses_and_a_third_measure(two):
    adept, full = path_of(two, "adept"), path_of(two, "full")
    accuracy = at_equal_acquisition(adept, full, ACCURACY, full)
    loss = at_equal_acquisition(adept, full, LOSS, full)
    assert (loss.range.low, loss.range.high) == pytest.approx((-2.7, -0.9))
    assert loss.mean.estimate.value == pytest.approx(3 * accuracy.mean.estimate.value)  # nats: three a share
    assert loss.mean.estimate.items == 0  # no single documents: over seeds alone
    assert at_equal_acquisition(adept, full, STATEMENT).mean.estimate.value > 0


def test_a_method_against_itself_and_the_other_way_round(two):
    adept, full = path_of(two, "adept"), path_of(two, "full")
    for compare in (at_equal_acquisition, at_equal_retention):
        same = compare(full, full, ACCURACY, full)
        assert [same.mean.estimate.value, *(one.estimate.value for _, one in same.levels)] == [0, 0, 0, 0]
        assert same.mean.estimate.p_value == pytest.approx(1)
        there, back = compare(adept, full, ACCURACY, full), compare(full, adept, ACCURACY, full)
        for one, other in [
            (there.mean, back.mean),
            *zip(*([d for _, d in c.levels] for c in (there, back)), strict=True),
        ]:
            mine, theirs = one.estimate, other.estimate
            assert (mine.value, mine.low, mine.p_value) == pytest.approx((-theirs.value, -theirs.high, theirs.p_value))


def test_a_dominated_rate_changes_nothing(cell):
    """Both get one, since paths of different lengths are not compared."""
    shorter = world(cell, {"full": FULL, "adept": BETTER})
    longer = world(cell, {"full": [*FULL, (0.3, 0.0)], "adept": [*BETTER, (0.0, 0.1)]})
    values = [
        at_equal_acquisition(path_of(cells, "adept"), path_of(cells, "full"), ACCURACY).mean.estimate
        for cells in (shorter, longer)
    ]
    assert values[0].value == pytest.approx(values[1].value)
    assert values[0].low == pytest.approx(values[1].low)


def test_levels_and_ranges_that_are_not_attained_say_who_falls_short(cell):
    weak = [(0.1, 0.9), (0.35, 0.9), (0.3, 0.8)]
    cells = world(cell, {"full": FULL, "lora": weak})
    cells[-1:] = []
    cells += [point(cell, "lora", 2, 0.004, (0.3, 0.8))]
    lora, full = path_of(cells, "lora"), path_of(cells, "full")
    found = at_equal_acquisition(lora, full, ACCURACY, full)
    assert [one is None for _, one in found.levels] == [False, True, True]
    assert found.levels[1][0].reason == "lora in seed 0 attains 35.0% of domain, not 50.0%"
    # it keeps at its best what the base had: nothing to trade
    back = at_equal_retention(lora, full, ACCURACY, full)
    assert back.mean is None
    assert back.reasons == [
        "no range of retention to compare over: lora keeps 90.0% of general where it learned most, and a base has 90.0%"
    ]
    assert all(one is not None for _, one in back.levels)


def test_a_method_that_learns_nothing_leaves_no_range(cell):
    cells = world(cell, {"full": FULL, "lora": [(0.1, 0.9), (0.05, 0.8), (0.05, 0.3)]})
    lora, full = path_of(cells, "lora"), path_of(cells, "full")
    found = at_equal_acquisition(lora, full, ACCURACY, full)
    assert found.mean is None
    assert "lora in seed 0 attains 10.0% of domain, and a base 10.0%" in found.reasons[0]
    assert best_of(lora, ACCURACY).rates[0] is None  # the base itself
    nothing = at_equal_acquisition(lora, full, ACCURACY, lora)
    assert nothing.levels == []
    assert "full CPT learns nothing, so it sets no levels" in nothing.reasons


def test_seeds_that_differ_end_the_range_for_all(cell):
    cells = world(cell, {"full": FULL})
    cells += path_cells(cell, "adept", BETTER, (0, 1)) + path_cells(
        cell, "adept", [(0.2, 0.8), (0.4, 0.7), (0.3, 0)], (2,)
    )
    found = at_equal_acquisition(path_of(cells, "adept"), path_of(cells, "full"), ACCURACY)
    assert found.range.high == pytest.approx(0.4)
    assert found.range.ends == "adept in seed 2"
    assert found.levels == []
    by_seed = list(found.mean.by_seed.values())
    # identical items in all seeds: what is left is the t of the seeds' differences, and a little for items
    t = stats.ttest_1samp(by_seed, 0).confidence_interval(0.95)
    assert found.mean.estimate.low <= t.low
    assert found.mean.spread.half_width(0.99) > found.mean.spread.half_width(0.95)


def test_one_seed_is_over_items_only_and_losses_need_documents_for_that(cell):
    two = world(cell, {"full": FULL, "adept": BETTER}, seeds=(3,))
    found = at_equal_acquisition(path_of(two, "adept"), path_of(two, "full"), ACCURACY)
    assert not found.mean.estimate.seeds_resampled
    assert found.mean.estimate.low < found.mean.estimate.value < found.mean.estimate.high
    plain = at_equal_acquisition(path_of(two, "adept"), path_of(two, "full"), LOSS)
    assert (plain.mean.estimate.low, plain.mean.spread) == (None, None)
    single = world(cell, {"full": FULL, "adept": BETTER}, seeds=(3,), documents=12)
    told = at_equal_acquisition(path_of(single, "adept"), path_of(single, "full"), LOSS)
    assert told.mean.estimate.items == 12
    assert told.mean.estimate.value == pytest.approx(plain.mean.estimate.value)
    assert told.mean.estimate.low < told.mean.estimate.value


def test_the_same_cells_give_the_same_numbers(two):
    once, again = (
        at_equal_acquisition(path_of(cells, "adept"), path_of(cells, "full"), ACCURACY) for cells in (two, two[::-1])
    )
    assert once.mean.estimate == again.mean.estimate


def test_seeds_that_are_not_whole_are_left_out_and_named(cell):
    cells = [one for one in world(cell, {"full": FULL, "adept": BETTER}) if not (one.seed == 2 and one.rate == 0.004)]
    found = at_equal_acquisition(path_of(cells, "adept"), path_of(cells, "full"), ACCURACY)
    assert found.seeds == (0, 1)
    assert "adept: seed 2 left out, no cell of rate 0.004" in found.reasons
    no_base = [one for one in cells if one.method != "vanilla"]
    with pytest.raises(InputError, match=r"no seed has the base and all 3 rates.*the base \(vanilla\)"):
        path_of(no_base, "full")


def test_what_may_not_be_compared_is_refused_in_a_line(cell):
    cells = world(cell, {"full": FULL, "adept": BETTER})

    def changed(**updates):
        return [*cells[:-1], cells[-1].model_copy(update=updates)]

    last = cells[-1]
    for wrong, names in [
        (changed(training=last.training.model_copy(update={"tokens": 5})), "training tokens"),
        (changed(model=last.model.model_copy(update={"hash": "other"})), "base model"),
        (changed(suite="math"), "cells of lab/math, lab/medical"),
        ([*cells, last], "two cells of one rate"),
        ([one for one in cells if one.method != "adept" or one.chosen], "two or more learning rates, here 0.002"),
    ]:
        with pytest.raises(InputError, match=names) as refused:
            path_of(wrong, "adept")
        assert "\n" not in str(refused.value)
    full = path_of(cells, "full")
    fewer = path_of([one for one in cells if one.method != "adept" or one.rate != 0.004], "adept")
    with pytest.raises(InputError, match="paths of 2 and 3 learning rates"):
        at_equal_acquisition(fewer, full, ACCURACY)
    tasks = {**last.tasks, "task_general": last.tasks["task_general"].model_copy(update={"items_hash": "newer"})}
    with pytest.raises(InputError, match="items_hash of task 'task_general'"):
        at_equal_acquisition(path_of(changed(tasks=tasks), "adept"), full, ACCURACY)
    others = path_of([*bases(cell, (0.1, 0.9), (7,)), *path_cells(cell, "adept", BETTER, (7,))], "adept")
    with pytest.raises(InputError, match="no seed in common"):
        at_equal_acquisition(others, full, ACCURACY)
