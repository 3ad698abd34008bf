from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from adept_bench.analysis.paired import paired_difference
from adept_bench.claims.ledger import Measure
from adept_bench.claims.measures import MEASURES
from adept_bench.errors import InputError
from adept_bench.results.schema import Clusters


def compute(cells, tasks=None, **spec):
    measure = Measure(**{"method": "adept", **spec})
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
    """Cells of both methods; shares: of the processor, by seed, (adept, full). Of a model whose seconds count."""
    large = {"model": {"total_parameters": 2_000_000_000}}
    return [
        cell(
            method, seed, suite=suite, seconds=seconds + seed, parts=large | {"cost": {"details": {"cpu_share": share}}}
        )
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
    assert f"- training-time: {row['left_out']}" in as_markdown(rows)
    assert "training-time: training time over 2 of 3 seeds" in as_text(rows)
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
    rhos = [stats.spearmanr(profile[1:], range(11))[0] for profile in profiles]
    assert found.estimate == pytest.approx(np.mean(rhos))
    assert found.p_value(0.0) == pytest.approx(stats.ttest_1samp(rhos, 0.0).pvalue)
    # the first layer is left out, and beside
    whole = stats.ttest_1samp([stats.spearmanr(profile, range(12))[0] for profile in profiles], 0.0)
    (with_first,) = found.beside
    low, high = whole.confidence_interval(0.95)
    assert with_first.what == "with the first layer"
    assert (with_first.low, with_first.high) == pytest.approx((max(low, -1.0), min(high, 1.0)))
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


def probed(importances):
    """Layer probes of the pilot study; importances: by corpus and metric."""
    return [
        {"corpus": corpus, "metric": metric, "base_loss": 1.0, "importance": values, "seconds": 1.0}
        for (corpus, metric), values in importances.items()
    ]


def test_trend_reads_the_pilots_analyses_first(cell):
    layers = probed({("domain", "masking"): [1.0, 2.0, 3.0], ("general", "masking"): [1.0, 3.0, 2.0]})
    found = compute([cell(parts={"analyses": {"layers": layers}})], name="importance_trend")
    assert found.estimate == pytest.approx(-1.0)
    assert found.beside[0].value == pytest.approx(0.5)
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


def test_metric_agreement_is_without_the_first_layer(cell):
    rng = np.random.default_rng(3)
    cells, rhos, whole = [], [], []
    for seed in range(3):
        masking, gradient = ([9.0, *rng.normal(0, 1, 11)] for _ in range(2))
        layers = probed({("general", "masking"): masking, ("general", "gradient"): gradient})
        model = {"hash": f"base-{seed}"}
        cells.append(cell("vanilla", seed, suite="pilot", parts={"analyses": {"layers": layers}, "model": model}))
        rhos.append(stats.spearmanr(masking[1:], gradient[1:])[0])
        whole.append(stats.spearmanr(masking, gradient)[0])
    spec = {"name": "metric_agreement", "method": "vanilla", "corpus": "general"}
    found = compute(cells, metric="gradient", **spec)
    assert found.estimate == pytest.approx(np.mean(rhos))
    assert found.p_value(0.0) == pytest.approx(stats.ttest_1samp(rhos, 0.0).pvalue)
    assert found.beside[0].value == pytest.approx(np.mean(whole))
    alone = compute(cells[:1], metric="gradient", **spec)
    assert alone.p_value(0.0) == pytest.approx(stats.spearmanr(*_pair(cells[0])).pvalue, abs=0.05)
    with pytest.raises(InputError, match="by fisher and masking"):
        compute(cells, metric="fisher", **spec)


def _pair(one):
    return [probe.importance[1:] for probe in one.analyses.layers]


def test_unit_spread_by_hand(cell):
    """Layer 0: projections 1e-3 and 1e-1, two decades; layer 1: half a decade; norms are ten times as high."""
    names = {"q": (0, False, 1e-3), "up": (0, False, 1e-1), "n": (0, True, 1.0)}
    names |= {"q1": (1, False, 1e-2), "up1": (1, False, 1e-2 * 10**0.5), "n1": (1, True, 0.1), "dead": (1, False, 0.0)}
    layer, norm, importance = (list(column) for column in zip(*names.values(), strict=True))
    block = {"corpus": "general", "name": list(names), "layer": layer, "norm": norm, "importance": importance}
    units = [block | {"elements": [1] * len(names)}]
    cells = [cell("vanilla", s, parts={"analyses": {"units": units}, "model": {"hash": f"b{s}"}}) for s in range(2)]
    found = compute(cells, name="unit_spread", method="vanilla", corpus="general")
    assert (found.estimate, found.unit) == (pytest.approx(1.25), "decades")
    assert found.untestable  # the two bases are alike: no spread
    assert found.beside[0].value == pytest.approx((3 + 1) / 2)


def overlaps(base, adapted):
    rows = [("base", base), ("expanded", base), ("adapted", adapted)]
    return {"overlaps": [{"layer": 4, "state": state, "overlap": value} for state, value in rows]}


def test_activation_overlap_by_hand(cell):
    values = {"adept": [(0.9, 0.8), (0.8, 0.6)], "full": [(0.9, 0.85), (0.8, 0.75)]}
    cells = [
        cell(method, seed, suite="pilot", parts={"analyses": overlaps(*pair)})
        for method, pairs in values.items()
        for seed, pair in enumerate(pairs)
    ]
    of_base = compute(cells, name="activation_overlap", reference="vanilla")
    assert (of_base.estimate, len(of_base.cells)) == (pytest.approx(-15.0), 2)
    of_full = compute(cells, name="activation_overlap", reference="full")
    assert (of_full.estimate, len(of_full.cells)) == (pytest.approx(-10.0), 4)
    assert of_full.p_value(0.0) == pytest.approx(stats.ttest_1samp([-5.0, -15.0], 0.0).pvalue)
    with pytest.raises(InputError, match="no activations of the same layers"):
        compute([cell("adept"), cell("full")], name="activation_overlap", reference="full")


def test_probing_time_is_of_the_same_cells(cell):
    cells = [cell(seed=seed, seconds=value) for seed, value in enumerate((25.0, 50.0))]  # 2.5 s of probing each
    found = compute(cells, name="probe_time")
    assert found.estimate == pytest.approx(np.sqrt(0.1 * 0.05))
    assert found.p_value(0.1) == pytest.approx(stats.ttest_1samp(np.log([0.1, 0.05]), np.log(0.1)).pvalue)


def test_a_claim_on_items_of_one_cluster_is_not_judged(cell):
    def told(made):
        task = made.tasks["task_general"]
        clusters = Clusters(by="passage", sizes=[task.n])
        return made.model_copy(update={"tasks": {"task_general": task.model_copy(update={"clusters": clusters})}})

    cells = [told(cell(method, seed, {"general": [1, 0, seed]})) for method in ("adept", "full") for seed in (0, 1)]
    found = compute(cells, name="accuracy", reference="full", group="general")
    assert (found.estimate, found.interval(0.95), found.p_value(0.0)) == (0.0, None, None)
    assert found.untestable == "all items of a task are of one cluster: nothing is known of others"
