"""ablation, selection and sensitivity on an invented suite: numbers by hand, comparisons refused, what is missing."""

from __future__ import annotations

import io
import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from adept_bench.analysis.paired import paired_difference
from adept_bench.errors import InputError
from adept_bench.figures import ablation, selection, sensitivity
from adept_bench.figures.base import Drawing, MissingError
from adept_bench.figures.style import look
from adept_bench.figures.tabular import Best, Second
from adept_bench.figures.variants import abouts_in_order, by_method, difference, in_words, looks, setting
from adept_bench.results.compact import compact_training
from adept_bench.results.schema import Cell, LossPair, Variant

HERE = Path(__file__).parent
MAKER = runpy.run_path(str(HERE / "varied_cells.py"))
example = runpy.run_path(str(HERE.parent / "results" / "example_cell.py"))["example"]
MODULES = [ablation, selection, sensitivity]


@pytest.fixture(scope="module")
def suite() -> list[Cell]:
    return MAKER["ablation"]()


@pytest.fixture(scope="module")
def drawings(suite: list[Cell]) -> dict[str, Drawing]:
    return {module.KIND.name: drawn(module, suite) for module in MODULES}


def drawn(module: Any, cells: list[Cell]) -> Drawing:
    """Drawn and laid out: nothing in it may fail."""
    with look():
        drawing = module.draw(cells)
        assert drawing.figure is not None
        drawing.figure.draw_without_rendering()
    return drawing


def cell(method: str, seed: int, general: list[int], domain: list[int], variant: Variant | None = None) -> Cell:
    """A small cell; layers of every method that is no vanilla."""
    content = {
        "schema_version": 1,
        "status": "complete",
        **example(method, seed, {"general": general, "domain": domain}),
    }
    content["training"] = compact_training(content["training"])
    content["model"]["expanded_layers"] = [4, 9] if method != "vanilla" else []
    content["config"]["options"] = {"k": 2}
    made = Cell.model_validate_json(json.dumps(content))
    return made.model_copy(update={"variant": variant})


def rows(drawing: Drawing, **wanted: Any) -> list[dict[str, Any]]:
    """Rows of the numbers by column, those that have the wanted values."""
    found = [dict(zip(drawing.data.header, row, strict=True)) for row in drawing.data.rows]
    return [row for row in found if all(row[key] == value for key, value in wanted.items())]


def changed(cell: Cell, **identity: str) -> Cell:
    return cell.model_copy(update={"config": {**cell.config, "identity": {**cell.config["identity"], **identity}}})


# ablation


def test_the_table_by_hand() -> None:
    """One seed of four general and two domain answers."""
    cells = [
        cell("vanilla", 0, [1, 1, 1, 1], [0, 0]),
        cell("adept", 0, [1, 1, 1, 0], [1, 0]),
        cell("adept-no-stage1", 0, [1, 0, 0, 0], [1, 1]),
        cell("adept-no-stage2", 0, [1, 1, 0, 0], [1, 0]),
    ]
    drawing = drawn(ablation, cells)
    shown = drawing.shown
    assert shown is not None
    assert shown.header == ["method", "general", "general, vs ADEPT", "domain", "domain, vs ADEPT"]
    assert [row[0] for row in shown.rows] == ["ADEPT", "ADEPT without stage 1", "ADEPT without stage 2", "vanilla"]
    assert [row[1] for row in shown.rows] == ["75.0", "25.0", "50.0", "100.0"]
    assert [row[3] for row in shown.rows] == ["50.0", "100.0", "50.0", "0.0"]
    assert [type(row[1]) for row in shown.rows] == [Best, str, Second, str]
    assert [type(row[3]) for row in shown.rows] == [Second, Best, Second, str]
    assert [str(row[2]).split()[0] for row in shown.rows] == ["–", "−50.0", "−25.0", "+25.0"]
    assert [str(row[4]).split()[0] for row in shown.rows] == ["–", "+50.0", "0.0", "−50.0"]
    assert drawing.notes == ["no result of adept-uniform-expansion", "no result of adept-as-released"]


def test_the_differences_are_the_paired_ones_and_their_seeds(suite: list[Cell], drawings: dict[str, Drawing]) -> None:
    named = by_method(suite, "test")
    for method in ("adept-no-stage1", "adept-as-released", "vanilla"):
        for group in ("general", "domain", "domain_known"):
            expected = paired_difference(named[method], named["adept"], group)
            wanted = {"method": method, "measure": "accuracy minus that of adept", "of": group}
            (row,) = rows(drawings["ablation"], seed=None, **wanted)
            assert [row["value"], row["low"], row["high"]] == [expected.value, expected.low, expected.high]
            singles = {
                row["seed"]: row["value"] for row in rows(drawings["ablation"], **wanted) if row["seed"] is not None
            }
            pairs = zip(named[method], named["adept"], strict=True)
            assert singles == {one.seed: one.groups[group] - other.groups[group] for one, other in pairs}


def test_the_figure_has_the_ablations_only_and_their_values(drawings: dict[str, Drawing]) -> None:
    figure = drawings["ablation"].figure
    assert len(figure.axes) == 4  # type: ignore[union-attr]
    axes = figure.axes[1]  # type: ignore[union-attr]
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]  # type: ignore[union-attr]
    assert names == [
        "ADEPT without stage 1", "ADEPT without stage 2", "ADEPT, uniform expansion", "ADEPT as released",
    ]  # fmt: skip
    expected = [
        100
        * rows(drawings["ablation"], method=name, measure="accuracy minus that of adept", of="domain", seed=None)[0][
            "value"
        ]
        for name in MAKER["PARTS"][1:]
    ]
    marks = [mark.lines[0].get_xdata()[0] for mark in axes.containers]
    assert marks == pytest.approx(expected)


def test_loss_differences_are_students_t_over_paired_seeds() -> None:
    after = {"adept": (1.0, 1.1, 1.3), "adept-no-stage2": (1.2, 1.4, 1.9)}
    cells = [
        cell(method, seed, [1, 0], [1, 0]).model_copy(
            update={"losses": {"general": LossPair(before=0.5, after=losses[seed])}}
        )
        for method, losses in after.items()
        for seed in range(3)
    ]
    found = rows(drawn(ablation, cells), measure="loss minus that of adept")
    row = next(row for row in found if row["seed"] is None)
    differences = np.subtract(after["adept-no-stage2"], after["adept"])
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert row["value"] == pytest.approx(differences.mean())
    singles = {row["seed"]: row["value"] for row in found if row["seed"] is not None}
    assert singles == {seed: pytest.approx(value) for seed, value in enumerate(differences)}
    assert [row["low"], row["high"]] == pytest.approx([interval.low, interval.high])


def test_without_its_ablations_or_adept_there_is_none() -> None:
    adept, part = cell("adept", 0, [1, 0], [1, 0]), cell("adept-no-stage1", 0, [1, 0], [1, 0])
    with pytest.raises(MissingError, match="no result of adept-no-stage1, adept-no-stage2, adept-uniform-expansion"):
        ablation.draw([adept])
    with pytest.raises(MissingError, match="no result of method 'adept'"):
        ablation.draw([part])
    with pytest.raises(MissingError, match="no seed in common"):
        ablation.draw([adept, part.model_copy(update={"seed": 1})])
    tokens = part.training.model_copy(update={"tokens": 1024})
    with pytest.raises(InputError, match="training tokens"):
        ablation.draw([adept, part.model_copy(update={"training": tokens})])


# selection


def test_layers_chosen_are_counted_over_seeds(suite: list[Cell], drawings: dict[str, Drawing]) -> None:
    axes = drawings["selection"].figure.axes[0]  # type: ignore[union-attr]
    assert [text.get_text().split("\n")[0] for text in axes.get_yticklabels()] == [
        "least important", "evenly spaced", "least important", "most important", "random",
    ]  # fmt: skip
    seen = {(round(text.get_position()[1]), text.get_position()[0]): int(text.get_text()) for text in axes.texts}
    order = ["adept", "adept-uniform-expansion", "adept-domain-importance", "adept-highest", "adept-random"]
    expected: dict[tuple[int, int], int] = {}
    for one in suite:
        if one.method in order:
            for layer in one.model.expanded_layers:
                key = (order.index(one.method), layer)
                expected[key] = expected.get(key, 0) + 1
    assert seen == expected
    assert expected[1, 5] == expected[1, 11] == 3


def test_selection_keeps_to_variants_about_selection(drawings: dict[str, Drawing]) -> None:
    assert {row["method"] for row in rows(drawings["selection"])} == {
        "adept", "adept-uniform-expansion", "adept-domain-importance", "adept-highest", "adept-random",
    }  # fmt: skip
    assert {one.method for one in drawings["selection"].cells} == {row["method"] for row in rows(drawings["selection"])}


def test_a_variant_is_placed_by_its_settings_and_not_by_its_name(suite: list[Cell]) -> None:
    """Names that say nothing: the figures are the same but for the names in the numbers."""
    plain = {name: f"variant-{place}" for place, name in enumerate(sorted(MAKER["VARIANTS"]))}
    renamed = [one.model_copy(update={"method": plain.get(one.method, one.method)}) for one in suite]
    drawing = drawn(selection, renamed)
    labels = [text.get_text() for text in drawing.figure.axes[0].get_yticklabels()]  # type: ignore[union-attr]
    assert "random" in labels
    assert "most important" in labels
    ticks = [text.get_text() for text in drawn(sensitivity, renamed).figure.axes[0].get_xticklabels()]  # type: ignore[union-attr]
    assert ticks == ["1\n7%", "2\n13%", "4\n27%"]


def test_selection_without_another_way_says_what_is_missing(suite: list[Cell]) -> None:
    with pytest.raises(MissingError, match="variants about 'selection' or adept-uniform-expansion"):
        selection.draw([one for one in suite if one.method in ("vanilla", "adept", "adept-k1")])
    with pytest.raises(MissingError, match="no result of method 'adept'"):
        selection.draw([one for one in suite if one.method == "adept-random"])


def test_layers_that_train_in_place_count_too() -> None:
    one = cell("adept", 0, [1], [1])
    model = one.model.model_copy(update={"expanded_layers": []})
    in_place = one.model_copy(update={"model": model, "method_definition": {"trained_layers": [7, 3]}})
    assert selection.layers(in_place) == [3, 7]
    assert selection.layers(one) == [4, 9]


# sensitivity


def test_places_are_in_the_order_of_their_settings(drawings: dict[str, Drawing]) -> None:
    axes = drawings["sensitivity"].figure.axes  # type: ignore[union-attr]
    ticks = [[text.get_text() for text in one.get_xticklabels()] for one in axes[:3]]
    assert ticks == [
        ["1\n7%", "2\n13%", "4\n27%"],
        ["50", "100", "never"],
        ["16 docs\nprobe", "64 docs\nprobe", "64 docs\ngeneral"],
    ]
    assert [one.get_title(loc="left") for one in axes[:3]] == ["k", "refresh", "probe corpus"]


def test_differences_are_to_the_method_that_is_varied(suite: list[Cell], drawings: dict[str, Drawing]) -> None:
    named = by_method(suite, "test")
    for method in ("adept-k1", "adept-k4", "adept-refresh-once", "adept-probe16"):
        expected = paired_difference(named[method], named["adept"], "domain")
        (row,) = rows(
            drawings["sensitivity"], method=method, measure="difference to the default", of="domain", seed=None
        )
        assert [row["value"], row["low"], row["high"]] == [expected.value, expected.low, expected.high]
    assert not rows(drawings["sensitivity"], method="adept", measure="difference to the default")


def test_another_probe_corpus_is_compared_and_another_domain_corpus_is_not(
    suite: list[Cell], drawings: dict[str, Drawing]
) -> None:
    named = by_method(suite, "test")
    text, adept = named["adept-probe-text"], named["adept"]
    same = [changed(one, probe=other.config["identity"]["probe"]) for one, other in zip(text, adept, strict=True)]
    assert difference(text, adept, "general") == paired_difference(same, adept, "general")
    assert rows(drawings["sensitivity"], method="adept-probe-text", measure="difference to the default")
    with pytest.raises(InputError, match="identity of domain"):
        difference([changed(one, domain="other") for one in text], adept, "general")
    # a probe corpus that no variant declares is no variation but a mix-up
    with pytest.raises(InputError, match="identity of probe"):
        difference([one.model_copy(update={"variant": None}) for one in text], adept, "general")
    with pytest.raises(InputError, match="identity of probe"):
        difference([changed(one, probe="other") for one in named["adept-k1"]], adept, "general")


def test_what_cannot_be_compared_is_said_and_the_rest_is_drawn(suite: list[Cell]) -> None:
    drawing = drawn(sensitivity, [one for one in suite if one.method in ("adept-k1", "adept-k4")])
    assert "nothing to compare with: no result of adept" in drawing.notes
    assert "no variant about refresh" in drawing.notes
    assert not rows(drawing, measure="difference to the default")
    with pytest.raises(MissingError, match="variant about k, refresh, probe corpus"):
        sensitivity.draw([one for one in suite if one.variant is None or one.variant.about == "selection"])


def test_a_suites_own_word_gets_a_panel() -> None:
    own = Variant(of="adept", about="warm-up", settings={"training.warmup": 0.2})
    cells = [cell("adept", 0, [1, 0], [0, 0]), cell("slow-start", 0, [1, 1], [1, 0], own)]
    cells[1].config["training"]["warmup"] = 0.2
    cells[0].config["training"]["warmup"] = 0.05
    drawing = drawn(sensitivity, cells)
    axes = drawing.figure.axes  # type: ignore[union-attr]
    assert axes[0].get_title(loc="left") == "warm-up"
    assert [text.get_text() for text in axes[0].get_xticklabels()] == ["0.05", "0.2"]
    (row,) = rows(drawing, measure="difference to the default", of="general", seed=None)
    assert row["value"] == 0.5
    assert "over items only" in drawing.caption


# what they share


def test_words_of_an_estimate() -> None:
    estimate = paired_difference([cell("full", 0, [0, 1], [1])], [cell("adept", 0, [1, 1], [1])], "general")
    assert in_words(estimate) == "−50.0 [−100.0, +100.0]"
    assert in_words(
        paired_difference([cell("adept", 0, [1], [1])], [cell("adept", 0, [1], [1])], "general")
    ).startswith("0.0 ")


def test_orders_settings_and_looks() -> None:
    assert abouts_in_order(["zeta", "k", "probe corpus", "alpha", "selection"]) == [
        "selection", "k", "probe corpus", "alpha", "zeta",
    ]  # fmt: skip
    assert setting({"options": {"k": 3}}, "options.k") == 3
    assert setting({"options": {"k": 3}}, "options.k.deeper") is None
    assert setting({}, "data.probe") is None
    variants = ["adept", *MAKER["VARIANTS"]][:6]
    found = looks(variants)
    assert len({(tuple(np.ravel([one.colour])), str(one.line)) for one in found.values()}) == 6


@pytest.mark.parametrize("module", MODULES)
def test_one_seed_and_missing_cells_draw(module: Any, suite: list[Cell]) -> None:
    kept = [one for one in suite if one.seed == 0 or one.method in ("adept", "adept-k4", "adept-random")]
    drawing = drawn(module, kept)
    assert drawing.caption
    assert {one.method for one in drawing.cells} <= {one.method for one in kept}


@pytest.mark.parametrize("module", MODULES)
def test_equal_cells_give_equal_bytes_in_any_order(module: Any, suite: list[Cell]) -> None:
    some = [one for one in suite if one.seed < 2]
    pictures = []
    for cells in (some, some[::-1]):
        with look():
            out = io.BytesIO()
            drawing = module.draw(cells)
            drawing.figure.savefig(out, format="svg", metadata={"Date": None})
            pictures.append((out.getvalue(), drawing.caption, drawing.data, drawing.shown, drawing.notes))
    assert pictures[0] == pictures[1]


def test_no_text_is_smaller_than_8_points(drawings: dict[str, Drawing]) -> None:
    from matplotlib.text import Text

    for drawing in drawings.values():
        shown = [text for text in drawing.figure.findobj(Text) if text.get_text() and text.get_visible()]  # type: ignore[union-attr]
        assert min(text.get_fontsize() for text in shown) >= 8


def test_captions_say_where_learning_rates_differ(suite):
    """By hand: one method of two rates, two of one."""
    from adept_bench.figures.dots import rates_in_words
    from adept_bench.results.schema import LearningRateChoice

    def at(method, rate):
        one = next(cell for cell in suite if cell.method == method)
        return one.model_copy(update={"learning_rate": LearningRateChoice(value=rate, source="set")})

    named = {"adept": [at("adept", 0.008)], "adept-no-stage2": [at("adept-no-stage2", 0.008)]}
    assert rates_in_words(named) == ""
    named["adept-uniform-expansion"] = [at("adept-uniform-expansion", 0.002), at("adept-uniform-expansion", 0.001)]
    assert rates_in_words(named).endswith(
        "0.008 for ADEPT, ADEPT without stage 2; 0.001 and 0.002 for ADEPT, uniform expansion."
    )
