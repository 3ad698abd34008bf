"""Items in clusters: the clustered standard error, whole clusters drawn again; by simulation, what intervals cover."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from path_worlds import WORLDS, experiment
from scipy import special, stats

from adept_bench.analysis.acquisition import mean_differences
from adept_bench.analysis.clusters import error_of_mean, freedom, joined
from adept_bench.analysis.levels import range_of
from adept_bench.analysis.paired import group_mean, paired_difference
from adept_bench.analysis.paths import Aligned
from adept_bench.analysis.resampled import draws
from adept_bench.analysis.spread import of_items
from adept_bench.errors import InputError

EXPERIMENTS = 1500
MEANS = (0.6, 0.5)
SIZES = {
    "2 to 18 items": lambda rng, clusters: rng.integers(2, 19, clusters),
    "geometric": lambda rng, clusters: 1 + rng.geometric(1 / 8, clusters),
}


def paired_items(rng, clusters, sizes, correlation, methods=MEANS):
    """Right answers of two methods to the same items, [2, items], and the clusters: beta-binomial, each method's chance
    of a right answer drawn for each cluster; what makes a single item hard is common to the methods."""
    numbers = np.repeat(np.arange(clusters), sizes(rng, clusters))
    strength = (1 - correlation) / correlation
    chances = np.array([rng.beta(mean * strength, (1 - mean) * strength, clusters) for mean in methods])
    return (rng.random(len(numbers)) < chances[:, numbers]).astype(float), tuple(numbers.tolist())


@pytest.mark.parametrize(
    ("clusters", "correlation", "shape"),
    [(20, 0.3, "geometric"), (20, 0.1, "2 to 18 items"), (40, 0.1, "geometric"), (60, 0.3, "2 to 18 items")],
)
def test_intervals_cover_the_truth_and_would_not_without_the_clusters(clusters, correlation, shape):
    rng = np.random.default_rng([clusters, int(100 * correlation), len(shape)])
    covered = {"by clusters": 0, "by items": 0}
    for _ in range(EXPERIMENTS):
        right, numbers = paired_items(rng, clusters, SIZES[shape], correlation)
        task, truth = right[:1] - right[1:], MEANS[0] - MEANS[1]
        for way, told in (("by clusters", [numbers]), ("by items", None)):
            found = of_items([task], told)
            # the point of Student's t; half_width is tested beside it
            half = students_t(found.item_df) * found.item_error
            covered[way] += abs(found.mean - truth) <= half
    assert 0.93 <= covered["by clusters"] / EXPERIMENTS <= 0.97
    assert covered["by items"] / EXPERIMENTS < 0.9


def students_t(df):
    return special.stdtrit(df, 0.975)


def test_half_width_of_clustered_items_is_that_of_students_t():
    right, numbers = paired_items(np.random.default_rng(4), 25, SIZES["geometric"], 0.2)
    found = of_items([right[:1]], [numbers])
    assert found.half_width() == pytest.approx(students_t(found.item_df) * found.item_error)


def by_pairs(values, numbers):
    """inspect_ai's: C / (C - 1) times the sum over pairs of items of one cluster, written out."""
    residuals = values - values.mean()
    same = np.equal.outer(numbers, numbers)
    many = len(set(numbers))
    return np.sqrt(many / (many - 1) * np.sum(np.outer(residuals, residuals) * same)) / len(values)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from([0.0, 1.0])), min_size=2, max_size=60))
def test_standard_error_is_the_sum_over_pairs_of_a_cluster(rows):
    names = list(dict.fromkeys(row[0] for row in rows))
    numbers, values = tuple(names.index(row[0]) for row in rows), np.array([row[1] for row in rows])
    if len(names) == 1:
        assert error_of_mean(values, numbers) is None
        return
    assert error_of_mean(values, numbers) == pytest.approx(by_pairs(values, numbers), abs=1e-9)
    # with the two added items, the same in an interval of one seed
    found = of_items([values[None]], [numbers])
    added = 2 * len(names) / (len(names) - 1) / len(values) ** 2
    assert found.item_error**2 == pytest.approx(by_pairs(values, numbers) ** 2 + added)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.integers(2, 50), st.integers(0, 2**32 - 1))
def test_clusters_of_one_item_change_nothing(seeds, items, draw):
    rng = np.random.default_rng(draw)
    tasks = [rng.integers(-1, 2, (seeds, items)).astype(float), rng.integers(0, 2, (seeds, 30)).astype(float)]
    assert of_items(tasks, [tuple(range(items)), tuple(range(30))]) == of_items(tasks)
    mean = np.abs(tasks[1][0])
    assert error_of_mean(mean, tuple(range(30))) == pytest.approx(mean.std(ddof=1) / 30**0.5)


def test_copies_of_items_say_no_more_than_the_items():
    """Each item asked three times: the standard error is that of the items asked once, for the seeds' rest too."""
    rng = np.random.default_rng(5)
    once = rng.integers(-1, 2, (3, 80)) + rng.normal(0, 0.3, 80)
    thrice, numbers = np.repeat(once, 3, axis=1), tuple(np.repeat(np.arange(80), 3).tolist())
    one, three = of_items([once]), of_items([thrice], [numbers])
    assert (three.mean, three.seed_error, three.item_df) == pytest.approx((one.mean, one.seed_error, 79))
    # the two added items are single ones: a ninth of their weight among three times as many
    added = 2 / 79 / 80
    assert three.item_error**2 - added / 9 == pytest.approx(one.item_error**2 - added)
    assert of_items([thrice]).item_error < 0.65 * three.item_error


def test_order_of_items_does_not_matter():
    rng = np.random.default_rng(6)
    right, numbers = paired_items(rng, 20, SIZES["2 to 18 items"], 0.3)
    order = rng.permutation(len(numbers))
    one, other = of_items([right], [numbers]), of_items([right[:, order]], [tuple(np.array(numbers)[order].tolist())])
    assert (other.item_error, other.item_df) == pytest.approx((one.item_error, one.item_df))


def test_freedom_is_of_clusters_and_less_where_one_outweighs_the_others():
    even = tuple(np.repeat(np.arange(30), 4).tolist())
    assert freedom(even) == pytest.approx(29)
    uneven = (0,) * 91 + tuple(range(1, 30))
    assert 1 <= freedom(uneven) < 2
    independent = np.random.default_rng(7).normal(size=120)
    assert freedom(uneven) <= freedom(uneven, independent) < 29


def clustered(made, sizes, of=()):
    """The cell with clusters for the items of task `task_general`."""
    content = json.loads(made.model_dump_json())
    content["tasks"]["task_general"]["clusters"] = {"by": "passage", "sizes": list(sizes), "of": list(of)}
    return type(made).model_validate_json(json.dumps(content))


def cells(cell, rng, seeds=1):
    """Cells of two methods, whose items come in fours that are right together."""
    return [
        [cell(method, seed, {"general": np.repeat(rng.integers(0, 2, 25), 4).tolist()}) for seed in range(seeds)]
        for method in ("adept", "full")
    ]


def test_one_cell_that_tells_its_clusters_speaks_for_all_of_the_same_items(cell):
    mine, other = cells(cell, np.random.default_rng(8), seeds=2)
    before = paired_difference(mine, other, "general")
    told = [clustered(mine[0], [4] * 25), mine[1]]
    after = paired_difference(told, other, "general")
    assert after == paired_difference([clustered(one, [4] * 25) for one in mine], other, "general")
    assert after.value == before.value
    assert after.high - after.low > before.high - before.low
    assert paired_difference([clustered(one, [1] * 100) for one in mine], other, "general") == before
    with pytest.raises(InputError, match=r"other clusters of the items of task 'task_general'.*expected the same"):
        paired_difference([clustered(mine[0], [4] * 25), clustered(mine[1], [5] * 20)], other, "general")


def test_one_cluster_leaves_the_interval_unknown(cell):
    mine, other = cells(cell, np.random.default_rng(9), seeds=3)
    for found in (
        paired_difference([clustered(one, [100]) for one in mine], other, "general"),
        group_mean([clustered(one, [50, 50], [0, 0]) for one in mine], "general"),
    ):
        assert (found.low, found.high, found.standard_error, found.p_value) == (None, None, None, None)
        assert found.items == 100
    assert group_mean([clustered(mine[0], [100])], "general").value == pytest.approx(mine[0].groups["general"])


def test_tasks_are_joined_as_clusters_of_one():
    assert joined([None, None], [3, 2]) is None
    assert joined([(0, 0, 1), None, (0, 1, 0)], [3, 2, 3]) == (0, 0, 1, 2, 3, 4, 5, 4)


def path_of_clusters(numbers):
    """An experiment of the simulations of paths, its items in these clusters."""
    made = experiment(WORLDS["apart"], 3, np.random.default_rng(10))
    return Aligned(made.measure, made.names, made.seeds, made.sides, ([numbers], [numbers]))


def of_path(paths):
    (found,) = mean_differences("acquisition", paths, [range_of("acquisition", paths).grid()])
    return found


def test_paths_draw_whole_clusters():
    items = WORLDS["apart"].items
    alone = of_path(path_of_clusters(None)).spread
    fours = tuple(number // 4 for number in range(items))
    # items that are independent of each other, in clusters: about the same error, of fewer draws
    told = of_path(path_of_clusters(fours)).spread
    assert (told.mean, told.seed_error) == (alone.mean, alone.seed_error)
    assert told.item_error == pytest.approx(alone.item_error, rel=0.2)
    assert (alone.item_df, told.item_df) == (items - 1, pytest.approx(items / 4 - 1))
    # a single cluster: nothing is known
    unknown = of_path(path_of_clusters((0,) * items))
    assert unknown.spread is None
    assert (unknown.estimate.low, unknown.estimate.p_value) == (None, None)
    assert unknown.estimate.value == alone.mean


def test_replicates_of_clusters_have_the_clustered_error():
    """Of a plain mean, against the formula."""
    right, numbers = paired_items(np.random.default_rng(11), 12, SIZES["2 to 18 items"], 0.3)
    (weights,) = draws((numbers,))
    assert weights.sum(axis=1) == pytest.approx(1)
    by_hand = by_pairs(right[0], numbers)
    assert np.std(weights @ right[0], ddof=1) == pytest.approx(by_hand, rel=0.15)
    assert stats.ttest_1samp(weights @ right[0], right[0].mean()).pvalue > 0.01


def test_over_seeds_too_the_clusters_are_what_items_vary_by():
    """Five seeds that do not differ but in what each makes of a cluster: that is in the rest, which both parts hold."""
    rng = np.random.default_rng(12)
    covered = {"by clusters": 0, "by items": 0}
    experiments, truth = 400, stats.norm.cdf(1 / 1.5) - stats.norm.cdf(0.5 / 1.5)
    for _ in range(experiments):
        cluster = np.repeat(np.arange(40), rng.integers(2, 19, 40))
        common, own = rng.normal(0, 0.9, (2, 1, 40))[..., cluster], rng.normal(0, 0.5, (2, 5, 40))[..., cluster]
        rest = rng.normal(0, (1.25 - 0.81 - 0.25) ** 0.5, (2, 5, len(cluster)))
        right = np.array([1.0, 0.5]).reshape(2, 1, 1) + common + own + rest + rng.normal(0, 1, len(cluster)) > 0
        task = right[0].astype(float) - right[1]
        for way, told in (("by clusters", [tuple(cluster.tolist())]), ("by items", None)):
            found = of_items([task], told)
            covered[way] += abs(found.mean - truth) <= found.half_width()
    assert 0.93 <= covered["by clusters"] / experiments <= 0.985
    assert covered["by items"] / experiments < 0.9
