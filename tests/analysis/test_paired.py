from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from adept_bench.analysis.paired import flips, group_mean, paired_difference, paired_values
from adept_bench.analysis.spread import Spread, of_items, of_seeds
from adept_bench.errors import InputError


def test_difference_and_flips_by_hand(cell):
    # seed 0: 2 items worse, 1 better of 6; seed 1: 1 worse, 0 better
    full = [
        cell("full", 0, {"general": [1, 1, 1, 0, 0, 1]}),
        cell("full", 1, {"general": [1, 1, 1, 1, 1, 1]}),
        cell("full", 2, {"general": [1, 1, 1, 1, 1, 1]}),
    ]
    adept = [
        cell("adept", 0, {"general": [0, 0, 1, 1, 0, 1]}),
        cell("adept", 1, {"general": [1, 1, 1, 1, 1, 0]}),
    ]
    found = paired_difference(adept, full, "general")
    assert found.value == pytest.approx((-1 / 6 - 1 / 6) / 2)
    assert found.seeds == (0, 1)
    assert (found.cells, found.items, found.seeds_resampled) == (4, 6, True)
    assert found.low < found.value < found.high
    assert dataclasses.astuple(flips(adept, full, "general")) == (3, 1, 12)
    back = paired_difference(full, adept, "general")
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))
    assert dataclasses.astuple(flips(full, adept, "general")) == (1, 3, 12)


def test_tasks_of_a_group_weigh_the_same(cell):
    def two_tasks(method, long, short):
        made = cell(method, 0, {"general": long, "other": short})
        moved = made.tasks["task_other"].model_copy(update={"group": "general"})
        return made.model_copy(update={"tasks": {**made.tasks, "task_other": moved}})

    one, other = two_tasks("adept", [1] * 8, [0, 1]), two_tasks("full", [0] * 8, [1, 1])
    assert paired_difference([one], [other], "general").value == pytest.approx((1.0 - 0.5) / 2)
    assert group_mean([one], "general").value == pytest.approx((1.0 + 0.5) / 2)


def test_order_of_cells_does_not_matter(cell):
    rng = np.random.default_rng(0)
    sides = {
        method: [cell(method, seed, {"general": rng.integers(0, 2, 40).tolist()}) for seed in range(3)]
        for method in ("adept", "full")
    }
    one = paired_difference(sides["adept"], sides["full"], "general")
    assert paired_difference(sides["adept"][::-1], sides["full"][1:] + sides["full"][:1], "general") == one


def test_one_seed_is_the_paired_interval_of_two_proportions(cell):
    """Against the closed form: variance of paired proportions with one more discordant pair each way."""
    rng = np.random.default_rng(1)
    mine, other = rng.integers(0, 2, 300), rng.integers(0, 2, 300)
    found = paired_difference(
        [cell("adept", 0, {"general": mine.tolist()})], [cell("full", 0, {"general": other.tolist()})], "general"
    )
    better, worse = int(((mine - other) > 0).sum()), int(((mine - other) < 0).sum())
    squares = better + worse + 2 - (better - worse) ** 2 / 300
    error = np.sqrt(squares / 299 / 300)
    low, high = stats.t.interval(0.95, 299, loc=(better - worse) / 300, scale=error)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert not found.seeds_resampled
    # the two added items aside, it is scipy's paired t interval
    plain = stats.ttest_rel(mine, other).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=2e-3)


def test_no_difference_in_any_item_is_not_certainty(cell):
    same = {"general": [1] * 100}
    found = paired_difference([cell("adept", 0, same)], [cell("full", 0, same)], "general")
    assert found.value == 0
    assert found.high == -found.low
    assert 0.02 < found.high < 0.04  # the rule of three says 3 in 100 may turn
    assert found.p_value == pytest.approx(1)


def test_losses_over_seeds_are_students_t(cell):
    adept = [cell("adept", seed, general_loss=loss) for seed, loss in enumerate((1.1, 1.3, 1.6))]
    full = [cell("full", seed, general_loss=loss) for seed, loss in enumerate((3.9, 3.7, 4.4))]
    found = paired_values(adept, full, lambda one: one.losses["general"].after)
    test = stats.ttest_rel([1.1, 1.3, 1.6], [3.9, 3.7, 4.4])
    interval = test.confidence_interval(0.95)
    assert (found.value, found.low, found.high) == pytest.approx((-2.8 + 2 / 15, interval.low, interval.high), abs=1e-6)
    assert found.p_value == pytest.approx(test.pvalue)
    alone = paired_values(adept[:1], full, lambda one: one.losses["general"].after)
    assert (alone.value, alone.low, alone.p_value) == (pytest.approx(-2.8), None, None)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda one: one.tasks["task_general"].__dict__.update(items_hash="other"), "items_hash"),
        (lambda one: one.tasks["task_general"].__dict__.update(num_fewshot=5), "num_fewshot"),
        (lambda one: one.tasks["task_general"].__dict__.update(version=2.0), "version"),
        (lambda one: one.model.__dict__.update(hash="other"), "base model"),
        (lambda one: one.config["identity"].update(domain="other"), "identity of domain 'other' and 'd'"),
        (lambda one: one.config["identity"].update(model="other"), "identity of model"),
        (lambda one: one.config.pop("identity"), "identity of domain"),
        (lambda one: one.training.__dict__.update(tokens=1), "training tokens"),
        (lambda one: one.__dict__.update(preset="qwen3-8b"), "preset"),
        (lambda one: one.tasks.pop("task_general"), "tasks of group"),
    ],
)
def test_cells_that_cannot_be_compared_are_refused(cell, change, names):
    one, other = cell("adept"), cell("full")
    paired_difference([one], [other], "general")
    change(one)
    with pytest.raises(InputError, match=names):
        paired_difference([one], [other], "general")


def test_items_must_agree_between_seeds_too(cell):
    adept, full = ([cell(method, seed) for seed in (0, 1)] for method in ("adept", "full"))
    for side in (adept, full):
        side[1].tasks["task_general"].__dict__["items_hash"] = "newer"
    with pytest.raises(InputError, match="items_hash"):
        paired_difference(adept, full, "general")


def test_vanilla_needs_no_budget_and_seeds_need_an_overlap(cell):
    assert paired_difference([cell("adept")], [cell("vanilla")], "general").value == 0
    with pytest.raises(InputError, match="no seed in common"):
        paired_difference([cell("adept", 0)], [cell("full", 1)], "general")
    with pytest.raises(InputError, match="two cells of one seed"):
        paired_difference([cell("adept", 0), cell("lora", 0)], [cell("full", 0)], "general")
    with pytest.raises(InputError, match="'missing'"):
        paired_difference([cell("adept", 0)], [cell("full", 0)], "missing")


def test_variance_parts_are_statsmodels_two_way_anova():
    """B and C of the items against the mean squares of an independent two-way analysis of variance."""
    pytest.importorskip("statsmodels")
    import pandas
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    rng = np.random.default_rng(2)
    task = rng.integers(-1, 2, (4, 25)).astype(float) + rng.normal(0, 1, (4, 1)) + rng.normal(0, 1, 25)
    long = pandas.DataFrame(
        [{"seed": f"s{seed}", "item": f"i{item}", "d": task[seed, item]} for seed in range(4) for item in range(25)]
    )
    table = anova_lm(ols("d ~ seed + item", long).fit())
    squares = table["mean_sq"]
    found = of_items([task])
    assert found.mean == pytest.approx(task.mean())
    assert found.seed_error**2 == pytest.approx(squares["seed"] / 100)
    added = 2 / 24 / 25  # the two added items
    assert found.item_error**2 - added == pytest.approx((squares["item"] - squares["Residual"]) / 100)
    assert (found.seed_df, found.item_df) == (3, pytest.approx(24))


def test_item_error_is_what_resampling_items_gives():
    rng = np.random.default_rng(3)
    tasks = [rng.integers(-1, 2, (1, 300)).astype(float), rng.integers(0, 2, (1, 200)).astype(float)]
    drawn = [[rng.choice(task[0], task.size).mean() for _ in range(4000)] for task in tasks]
    resampled = np.std(np.mean(drawn, axis=0))
    assert of_items(tasks).item_error == pytest.approx(resampled, rel=0.05)


@settings(deadline=None, max_examples=30)
@given(seed_error=st.floats(1e-3, 1), item_error=st.floats(1e-3, 1), seeds=st.integers(2, 8), items=st.integers(5, 500))
def test_half_width_is_the_point_of_the_sum_of_two_t(seed_error, item_error, seeds, items):
    """Against drawing the two t variables; and it inverts `tail`."""
    spread = Spread(0.0, seed_error, seeds - 1, item_error, items - 1)
    half = spread.half_width()
    assert spread.tail(half) == pytest.approx(0.05, abs=1e-4)
    rng = np.random.default_rng(0)
    draws = seed_error * rng.standard_t(seeds - 1, 100_000) + item_error * rng.standard_t(items - 1, 100_000)
    assert np.mean(np.abs(draws) > half) == pytest.approx(0.05, abs=0.004)


def test_either_part_alone_is_one_t():
    assert Spread(0.0, 0.02, 4, 0.0, 1).half_width() == pytest.approx(0.02 * stats.t.ppf(0.975, 4))
    assert Spread(0.0, 0.0, 1, 0.03, 99).half_width(0.9) == pytest.approx(0.03 * stats.t.ppf(0.95, 99))
    assert of_seeds([2.0, 2.0]).half_width() == 0
    assert of_seeds([2.0, 2.0]).p_value() == 0
