"""main_table, retention, gains, losses, cost: their numbers, against plain computation from the JSON files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from adept_bench.errors import InputError
from adept_bench.figures import cost, cost_by_k, gains, losses, main_table, retention
from adept_bench.figures.base import MissingError
from adept_bench.figures.retention import Mark, front
from adept_bench.figures.style import look
from adept_bench.figures.tabular import Best, Second
from adept_bench.results.schema import Cell, Variant

CORE = [main_table, retention, gains, losses, cost]


@pytest.fixture(autouse=True)
def _look():
    with look():
        yield


@pytest.fixture(scope="module")
def drawn(stored):
    cells = [Cell.model_validate(content, strict=False) for content in stored]
    with look():
        return {module.KIND.name: module.draw(cells) for module in CORE}


def table(drawing) -> list[dict[str, Any]]:
    return [dict(zip(drawing.data.header, row, strict=True)) for row in drawing.data.rows]


def only(rows, **wanted):
    (found,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return found


def by_seed(stored, method, value):
    return {content["seed"]: value(content) for content in stored if content["method"] == method}


def t_interval(values):
    mean, error = np.mean(values), stats.sem(values)
    return stats.t.interval(0.95, len(values) - 1, mean, error) if error > 0 else (mean, mean)


def test_every_cell_of_the_folder_is_named(drawn, stored):
    for name in ("main_table", "retention", "gains", "losses"):
        assert len(drawn[name].cells) == len(stored), name
    assert {cell.method for cell in drawn["cost"].cells} == {one["method"] for one in stored} - {"vanilla"}


def test_main_table_numbers(drawn, stored):
    rows = table(drawn["main_table"])
    methods = {content["method"] for content in stored}
    for method in methods:
        for group in ("general", "domain", "domain_known"):
            seeds = by_seed(stored, method, lambda content, group=group: content["groups"][group])
            mean = only(rows, method=method, measure="accuracy", group=group, task=None, seed=None)
            assert mean["value"] == pytest.approx(np.mean(list(seeds.values())))
            assert mean["low"] <= mean["value"] <= mean["high"]
            for seed, value in seeds.items():
                assert only(rows, method=method, group=group, task=None, seed=seed)["value"] == value
    for method in methods - {"full"}:
        mine, other = (
            by_seed(stored, name, lambda content: np.mean(content["tasks"]["lab_general"]["items"]))
            for name in (method, "full")
        )
        found = only(rows, method=method, measure="difference to full", group="general")
        assert found["value"] == pytest.approx(np.mean([mine[seed] - other[seed] for seed in mine]))
        # no narrower than seeds alone give
        low, high = t_interval([mine[seed] - other[seed] for seed in mine])
        assert found["low"] <= low + 1e-9
        assert found["high"] >= high - 1e-9
        assert found["items"] == 648


def test_main_table_marks_the_best(drawn, stored):
    shown = drawn["main_table"].shown
    assert shown.header[:4] == ["method", "general", "vs vanilla", "vs full CPT"]
    labels = {"replay": "replay", "llama-pro": "LLaMA-Pro", "adept": "ADEPT", "full": "full CPT", "lora": "LoRA"}
    labels |= {"vanilla": "vanilla", "frozen": "frozen layers"}
    means = {
        label: np.mean(list(by_seed(stored, method, lambda content: content["groups"]["domain"]).values()))
        for method, label in labels.items()
    }
    best, second, *others = sorted(means, key=lambda label: -means[label])
    column = shown.header.index("domain")
    cells = {row[0]: row[column] for row in shown.rows}
    assert all(cells[label] == f"{100 * means[label]:.1f}" for label in means)
    assert type(cells[best]) is Best
    assert type(cells[second]) is Second
    assert all(type(cells[label]) is str for label in others)


def test_gains_numbers(drawn, stored):
    rows = table(drawn["gains"])
    assert not [row for row in rows if row["method"] == "full"]
    for method in ("vanilla", "adept", "lora"):
        for group in ("general", "domain"):
            mine, other = (
                by_seed(stored, name, lambda content, group=group: content["groups"][group])
                for name in (method, "full")
            )
            differences = {seed: mine[seed] - other[seed] for seed in mine}
            whole = only(rows, method=method, group=group, seed=None)
            assert whole["difference"] == pytest.approx(np.mean(list(differences.values())))
            assert whole["seeds"] == 3
            for seed, value in differences.items():
                assert only(rows, method=method, group=group, seed=seed)["difference"] == pytest.approx(value)


def test_losses_numbers(drawn, stored):
    rows = table(drawn["losses"])
    for method in ("full", "adept"):
        pairs = by_seed(stored, method, lambda content: content["losses"]["domain"])
        row = only(rows, method=method, corpus="domain", seed=None)
        after = [pair["after"] for pair in pairs.values()]
        assert row["before"] == pytest.approx(np.mean([pair["before"] for pair in pairs.values()]))
        assert (row["after_low"], row["after_high"]) == pytest.approx(t_interval(after))
        change = [pair["after"] - pair["before"] for pair in pairs.values()]
        assert (row["change_low"], row["change_high"]) == pytest.approx(t_interval(change))


def test_retention_numbers(drawn, stored):
    rows = table(drawn["retention"])
    for method in ("full", "adept"):
        row = only(rows, method=method, seed=None)
        for column, group in (("learned", "domain"), ("kept", "general")):
            seeds = by_seed(stored, method, lambda content, group=group: content["groups"][group])
            assert row[column] == pytest.approx(np.mean(list(seeds.values())))
            for seed, value in seeds.items():
                assert only(rows, method=method, seed=seed)[column] == value
        assert row["trainable_fraction"] == pytest.approx(
            np.mean(list(by_seed(stored, method, lambda content: content["model"]["trainable_fraction"]).values()))
        )
    means = {row["method"]: (row["learned"], row["kept"]) for row in rows if row["seed"] is None}
    expected = {
        name
        for name, (learned, kept) in means.items()
        if not any(one > learned and other > kept for one, other in means.values())
    }
    assert {row["method"] for row in rows if row["on_front"]} == expected


def test_marks_stand_where_the_numbers_say(drawn):
    for name, column, panel in (("gains", "difference", 1), ("main_table", "value", 1), ("losses", "after", 1)):
        wanted = {"gains": {"group": "domain"}, "losses": {"corpus": "domain"}}
        wanted["main_table"] = {"group": "domain", "measure": "accuracy", "task": None}
        rows = [row for row in table(drawn[name]) if wanted[name].items() <= row.items()]
        axes = drawn[name].figure.axes[panel]
        factor = 1 if name == "losses" else 100
        marks = [container.lines[0].get_xdata()[0] for container in axes.containers]
        assert marks == pytest.approx([factor * row[column] for row in rows if row["seed"] is None])
        bars = [container.lines[2][0].get_segments()[0][:, 0] for container in axes.containers]
        low, high = ("after_low", "after_high") if name == "losses" else ("low", "high")
        ends = [(factor * row[low], factor * row[high]) for row in rows if row["seed"] is None]
        assert np.array(bars) == pytest.approx(np.array(ends))
        seeds = sorted(
            x for dots in axes.collections for x in np.asarray(dots.get_offsets())[:, 0] if len(dots.get_offsets()) == 3
        )
        assert seeds == pytest.approx(sorted(factor * row[column] for row in rows if row["seed"] is not None))


def test_front_keeps_equals_and_drops_the_beaten():
    from adept_bench.analysis.paired import seed_mean

    def mark(name, learned, kept):
        return Mark(name, seed_mean([learned], [0], 1), seed_mean([kept], [0], 1), {}, 0.1)

    marks = [mark("a", 1, 9), mark("b", 5, 5), mark("c", 5, 5), mark("d", 4, 5), mark("e", 9, 1), mark("f", 9, 0)]
    assert [one.method for one in front(marks)] == ["a", "b", "c", "e"]


def test_cost_numbers(drawn, stored):
    rows = table(drawn["cost"])
    for method in ("adept", "lora"):
        for name, field in (("training time", "train_seconds"), ("training FLOPs", "train_flops")):
            mine, other = (
                by_seed(stored, one, lambda content, field=field: content["cost"][field]) for one in (method, "full")
            )
            ratios = [mine[seed] / other[seed] for seed in mine]
            row = only(rows, method=method, quantity=name, seed=None)
            assert row["value"] == pytest.approx(np.mean(ratios))
            low, high = t_interval(ratios)
            assert (row["low"], row["high"]) == pytest.approx((max(low, 0), high))
        shares = by_seed(
            stored, method, lambda content: 100 * content["cost"]["probe_seconds"] / content["cost"]["train_seconds"]
        )
        row = only(rows, method=method, quantity="probing time", seed=None)
        assert row["value"] == pytest.approx(np.mean(list(shares.values())))
    assert only(rows, method="full", quantity="training time", seed=None)["value"] == 1


def other_budget(content):
    if content["method"] == "adept":
        content["training"]["tokens"] += 1


def other_budget_of_a_seed(content):
    if content["seed"] == 1 and content["method"] != "vanilla":
        content["training"]["tokens"] += 1


def other_version(content):
    if content["method"] == "adept" and content["seed"] == 1:
        content["tasks"]["task_general"]["version"] = 2.0


def other_base(content):
    if content["method"] == "adept" and content["seed"] == 1:
        content["model"]["hash"] = "another"


def other_suite(content):
    if content["seed"] == 1:
        content["suite"] = "math"


def other_preset(content):
    if content["seed"] == 1:
        content["preset"] = "lab-redundant"


@pytest.mark.parametrize("module", CORE, ids=lambda module: module.KIND.name)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_budget, "training tokens"),
        (other_budget_of_a_seed, "training tokens"),
        (other_version, "version of task"),
        (other_base, "base model"),
        (other_suite, "lab/math, lab/medical"),
        (other_preset, "lab-redundant/medical"),
    ],
)
def test_what_does_not_compare_is_refused(invented, module, change, words):
    with pytest.raises(InputError, match=words) as caught:
        module.draw(invented(change=change))
    assert not isinstance(caught.value, MissingError)


@pytest.mark.parametrize("module", CORE, ids=lambda module: module.KIND.name)
def test_one_seed_is_drawn_and_said(invented, module):
    drawing = module.draw(invented(seeds=(7,)))
    assert "one seed" in drawing.caption
    assert drawing.figure is not None


@pytest.mark.parametrize("module", CORE, ids=lambda module: module.KIND.name)
def test_other_seeds_are_noted(invented, module):
    drawing = module.draw([*invented(), *invented("replay", seeds=(0,))])
    assert any("different seeds" in note and "0: replay" in note for note in drawing.notes)


def without_tasks(content):
    content["tasks"], content["groups"], content["groups_chance_corrected"] = {}, {}, {}


def test_without_tasks_losses_are_the_axes(invented):
    cells = invented(change=without_tasks)
    drawing = retention.draw(cells)
    row = only(table(drawing), method="adept", seed=None)
    assert row["measure"] == "fall of held-out loss"
    assert (row["learned"], row["kept"]) == pytest.approx((2.2 - 0.56, 0.58 - 1.25))
    assert "nats" in drawing.caption
    assert losses.draw(cells).figure is not None
    for module in (main_table, gains):
        with pytest.raises(MissingError, match="tasks"):
            module.draw(cells)


def test_what_is_missing_is_named(invented):
    with pytest.raises(MissingError, match=r"'full'.*--methods full"):
        gains.draw(invented("vanilla adept"))
    with pytest.raises(MissingError, match="nothing to compare"):
        gains.draw(invented("full"))
    with pytest.raises(MissingError, match="no cell trains"):
        cost.draw(invented("vanilla"))
    with pytest.raises(MissingError, match=r"neither|'full' or 'adept'"):
        cost.draw(invented("lora replay"))
    with pytest.raises(MissingError, match="several numbers"):
        cost_by_k.draw(invented())
    for module in [*CORE, cost_by_k]:
        with pytest.raises(MissingError):
            module.draw([])


def late(content):
    if content["method"] == "adept":
        content["provenance"] |= {"started": "2026-01-03T00:00:00Z", "ended": "2026-01-03T00:01:00Z"}


def busy(content):
    share = 0.4 if content["method"] == "adept" and content["seed"] < 2 else 0.97
    content["cost"]["details"] = {"cpu_share": share}


def elsewhere(content):
    if content["method"] == "adept":
        content["provenance"]["device"] = "another"


@pytest.mark.parametrize(
    ("change", "words", "left"),
    [(late, "not taken in one go", 0), (busy, "shares of the processor", 1), (elsewhere, "other devices", 0)],
)
def test_seconds_that_do_not_compare_are_left_out(invented, change, words, left):
    drawing = cost.draw(invented(change=change))
    rows = table(drawing)
    for quantity in ("training time", "throughput"):
        seeds = [row for row in rows if row["method"] == "adept" and row["quantity"] == quantity]
        assert len([row for row in seeds if row["seed"] is not None]) == left
        assert [row for row in rows if row["method"] == "llama-pro" and row["quantity"] == quantity]
    assert [row for row in rows if row["method"] == "adept" and row["quantity"] == "training FLOPs"]
    assert any(words in note and "adept-seed0" in note for note in drawing.notes)


def test_cost_by_k(invented):
    def of(k):
        def change(content):
            content["config"]["options"] = {"k": k}
            content["cost"] |= {"train_flops": 1e12 * k + content["seed"], "train_seconds": 10.0 * k}

        return change

    cells = invented("adept vanilla full", change=of(2))
    for k in (1, 4):
        variant = Variant(of="adept", about="k", settings={"options.k": k})
        cells += [
            cell.model_copy(update={"method": f"adept-k{k}", "variant": variant})
            for cell in invented("adept", change=of(k))
        ]
    drawing = cost_by_k.draw(cells)
    assert {cell.method for cell in drawing.cells} == {"adept", "adept-k1", "adept-k4"}
    rows = table(drawing)
    for k in (1, 2, 4):
        assert only(rows, k=k, quantity="training FLOPs", seed=None)["value"] == pytest.approx(k + 1e-12)
        assert only(rows, k=k, quantity="training time", seed=None)["value"] == 10.0 * k
