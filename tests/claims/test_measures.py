from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from adept_bench.analysis.paired import paired_difference
from adept_bench.claims.ledger import Measure
from adept_bench.claims.measures import MEASURES
from adept_bench.errors import InputError


def compute(cells, tasks=None, **spec):
    measure = Measure(method="adept", **spec)
    sides: dict[str, list] = {}
    for one in cells:
        sides.setdefault(one.method, []).append(one)
    return MEASURES[measure.name](sides, measure, tasks)


def test_accuracy_is_the_paired_difference_in_points(cell):
    rng = np.random.default_rng(0)
    cells = [
        cell(method, seed, {"general": rng.integers(0, 2, 60).tolist(), "domain": [1, 0]})
        for method in ("adept", "full")
        for seed in range(4)
    ]
    found = compute(cells, name="accuracy", reference="full", group="general")
    expected = paired_difference(cells[:4], cells[4:], "general")
    assert found.estimate == pytest.approx(100 * expected.value)
    assert found.interval(0.95) == pytest.approx((100 * expected.low, 100 * expected.high), rel=1e-3)
    assert found.p_value(0.0) == pytest.approx(expected.p_value, rel=1e-3)
    assert (found.seeds, found.items, len(found.cells), found.untestable) == ((0, 1, 2, 3), 60, 8, "")
    assert found.files[0] == "lab/medical/adept-seed0.json"
    # against another value than 0 it is the test of a shifted difference
    low = found.interval(0.95)[0]
    assert found.p_value(low) == pytest.approx(0.05, rel=1e-3)


def test_accuracy_of_one_task(cell):
    def two(method, seed, first, second):
        made = cell(method, seed, {"general": first, "other": second})
        moved = made.tasks["task_other"].model_copy(update={"group": "general"})
        return made.model_copy(update={"tasks": {**made.tasks, "task_other": moved}})

    cells = [two("adept", s, [1, 1], [0, 0]) for s in (0, 1)] + [two("full", s, [0, 1], [0, 1]) for s in (0, 1)]
    spec = {"name": "accuracy", "reference": "full", "group": "general"}
    assert compute(cells, **spec).estimate == pytest.approx(0.0)
    assert compute(cells, ["task_general"], **spec).estimate == pytest.approx(50.0)
    with pytest.raises(InputError, match="any of mmlu"):
        compute(cells, ["mmlu"], **spec)


def test_train_time_is_a_t_interval_of_log_ratios(cell):
    seconds = {"adept": [30.0, 33.0, 24.0, 40.0], "full": [50.0, 52.0, 49.0, 71.0]}
    cells = [cell(method, seed, seconds=value) for method, row in seconds.items() for seed, value in enumerate(row)]
    found = compute(cells, name="train_time", reference="full")
    logs = np.log(np.array(seconds["adept"]) / seconds["full"])
    test = stats.ttest_1samp(logs, 0.0)
    assert found.estimate == pytest.approx(np.exp(logs.mean()))
    assert found.interval(0.95) == pytest.approx(np.exp(tuple(test.confidence_interval(0.95))), rel=1e-4)
    assert found.interval(0.999) == pytest.approx(np.exp(tuple(test.confidence_interval(0.999))), rel=1e-4)
    assert found.p_value(1.0) == pytest.approx(test.pvalue)
    assert found.p_value(0.5) == pytest.approx(stats.ttest_1samp(logs, np.log(0.5)).pvalue)


def busy(cell, shares, suite="medical"):
    """Cells of both methods; shares: of the processor, by seed, (adept, full)."""
    return [
        cell(method, seed, suite=suite, seconds=seconds + seed, parts={"cost": {"details": {"cpu_share": share}}})
        for seed, pair in enumerate(shares)
        for method, seconds, share in zip(("adept", "full"), (30.0, 50.0), pair, strict=True)
    ]


def test_train_time_leaves_out_what_the_figures_leave_out(cell):
    from adept_bench.figures import cost

    cells = busy(cell, [(1.0, 0.95), (0.5, 0.9), (0.7, 0.75), (0.6, 0.59)])
    found = compute(cells, name="train_time", reference="full")
    logs = np.log([30 / 50, 32 / 52, 33 / 53])
    assert found.seeds == (0, 2, 3)
    assert found.estimate == pytest.approx(np.exp(logs.mean()))
    assert found.p_value(1.0) == pytest.approx(stats.ttest_1samp(logs, 0.0).pvalue)
    assert found.left_out == (
        "training time over 3 of 4 seeds; "
        "seconds of seed 1 do not compare: other shares of the processor (0.50 and 0.90)"
    )
    drawn = [row for row in cost.draw(cells).data.rows if row[:2] == ["adept", "training time"] and row[4] is not None]
    assert [row[4] for row in drawn] == list(found.seeds)
    assert [row[5] for row in drawn] == pytest.approx(np.exp(logs))
    assert compute(cells[:2], name="train_time", reference="full").left_out == ""


def test_train_time_of_too_few_undisturbed_pairs(cell):
    one = compute(busy(cell, [(1.0, 0.95), (0.5, 0.9)]), name="train_time", reference="full")
    assert (one.seeds, one.untestable[:8], one.p_value(1.0)) == ((0,), "one seed", None)
    with pytest.raises(InputError, match=r"adept and full: seconds of seed 0 do not compare: other shares .* seed 1"):
        compute(busy(cell, [(0.4, 0.95), (0.5, 0.9)]), name="train_time", reference="full")


def test_the_verdict_on_training_time_says_how_many_seeds_are_left(cell):
    from adept_bench.claims import as_markdown, as_text, evaluate

    def judged(shares):
        rows = evaluate(busy(cell, shares))
        return next(row for row in rows if row["measure"]["name"] == "train_time"), rows

    row, rows = judged([(1.0, 1.0), (0.5, 0.9), (1.0, 1.0)])
    assert row["seeds"] == [0, 2]
    assert row["rule"].endswith(f"; {row['left_out']}")
    assert row["left_out"].startswith("training time over 2 of 3 seeds; seconds of seed 1 do not compare")
    assert f"- cost: {row['left_out']}" in as_markdown(rows)
    assert "cost: training time over 2 of 3 seeds" in as_text(rows)
    row, _ = judged([(1.0, 1.0), (0.5, 0.9)])
    assert (row["verdict"], row["rule"].partition(";")[0][:8]) == ("inconclusive", "one seed")
    assert "over 1 of 2 seeds" in row["rule"]
    row, _ = judged([(0.2, 1.0), (0.5, 0.9)])
    assert row["verdict"] == "no data"
    assert "seconds of seed 0 do not compare" in row["rule"]
    assert (row["left_out"], judged([(1.0, 1.0)] * 2)[0]["left_out"]) == ("", "")


def test_nothing_to_divide_by(cell):
    with pytest.raises(InputError, match="vanilla-seed0: training seconds 0"):
        compute([cell(), cell("vanilla")], name="train_time", reference="vanilla")


def test_token_shift_by_hand(cell, shifted):
    cells = [
        cell(method, seed, suite="pilot", parts={"analyses": shifted(count, 999)})
        for method, counts in (("adept", (20, 0)), ("full", (50, 60)))
        for seed, count in enumerate(counts)
    ]
    spec = {"name": "token_shift", "reference": "full", "corpus": "domain"}
    found = compute(cells, **spec)
    assert found.estimate == pytest.approx(np.sqrt((20.5 / 50.5) * (0.5 / 60.5)))
    other = cell("full", 1, suite="pilot", parts={"analyses": shifted(60, 500)})
    with pytest.raises(InputError, match="999 and 500 positions"):
        compute([*cells[:3], other], **spec)
    with pytest.raises(InputError, match="no token shift on domain text"):
        compute([cells[0], cells[1], cell("full", 0, suite="pilot")], **spec)


def test_one_seed_gives_no_verdict(cell):
    cells = [cell("adept"), cell("full")]
    found = compute(cells, name="accuracy", reference="full", group="general")
    assert found.untestable
    assert found.interval(0.95) is not None
    found = compute(cells, name="train_time", reference="full")
    assert found.untestable
    assert (found.interval(0.95), found.p_value(1.0)) == (None, None)


def test_trainable_share_is_the_range_over_cells(cell):
    cells = [cell(seed=seed, parts={"model": {"trainable_fraction": share}}) for seed, share in enumerate((0.1, 0.2))]
    found = compute(cells, name="trainable_share")
    assert found.estimate == pytest.approx(0.15)
    assert found.interval(0.95) == found.interval(0.999) == (0.1, 0.2)
    assert found.p_value(1.0) is None


def with_layers(cell, seed, importance, base, chosen=(4, 9)):
    probe = {"layers_general": {"metric": "masking", "base_loss": 0.5, "importance": importance}}
    model = {"hash": base, "base_layers": 12, "expanded_layers": list(chosen)}
    return cell(seed=seed, parts={"probe": probe, "model": model})


def test_trend_over_bases_is_students_t(cell):
    rng = np.random.default_rng(1)
    profiles = [(np.arange(12) * -0.3 + rng.normal(0, 1, 12)).tolist() for _ in range(4)]
    cells = [with_layers(cell, seed, profile, f"base-{seed}") for seed, profile in enumerate(profiles)]
    found = compute(cells, name="importance_trend")
    rhos = [stats.spearmanr(profile, range(12))[0] for profile in profiles]
    assert found.estimate == pytest.approx(np.mean(rhos))
    assert found.p_value(0.0) == pytest.approx(stats.ttest_1samp(rhos, 0.0).pvalue)
    # a seed more of a base that is there already adds nothing
    again = compute([*cells, with_layers(cell, 4, profiles[0], "base-0")], name="importance_trend")
    assert (again.estimate, again.seeds) == (found.estimate, (0, 1, 2, 3))


def test_trend_of_one_base_is_judged_by_the_order_of_its_layers(cell):
    falling = [12.0 - layer for layer in range(12)]
    cells = [with_layers(cell, seed, falling, "base") for seed in range(3)]
    found = compute(cells, name="importance_trend")
    assert (found.estimate, found.seeds, found.over) == (pytest.approx(-1.0), (0,), "the order of the layers")
    assert found.interval(0.95) is None
    assert found.p_value(0.0) < 0.001


def test_trend_reads_the_pilots_analyses_first(cell):
    layers = [
        {"corpus": corpus, "metric": "masking", "base_loss": 1.0, "importance": values, "seconds": 1.0}
        for corpus, values in (("domain", [1.0, 2.0, 3.0]), ("general", [3.0, 2.0, 1.0]))
    ]
    found = compute([cell(parts={"analyses": {"layers": layers}})], name="importance_trend")
    assert found.estimate == pytest.approx(-1.0)
    with pytest.raises(InputError, match="no layer importances"):
        compute([cell()], name="importance_trend")


def test_selected_depth(cell):
    cells = [with_layers(cell, s, [], f"base-{s}", chosen) for s, chosen in enumerate([(8, 10), (6, 11), (9, 10)])]
    found = compute(cells, name="selected_depth")
    depths = np.array([9.0, 8.5, 9.5]) / 11
    assert found.estimate == pytest.approx(depths.mean())
    assert found.p_value(0.5) == pytest.approx(stats.ttest_1samp(depths, 0.5).pvalue)
    same = compute([with_layers(cell, s, [], f"base-{s}", (8, 10)) for s in range(3)], name="selected_depth")
    assert same.over == "the order of the layers"
    assert 0 < same.p_value(0.5) < 0.1
    with pytest.raises(InputError, match="different numbers of copies"):
        compute([*cells, with_layers(cell, 3, [], "base-3", (4, 5, 6))], name="selected_depth")
