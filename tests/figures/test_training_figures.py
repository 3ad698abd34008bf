"""training_curves, unit_rates and item_flips against the stored files and against numbers worked out by hand."""

from __future__ import annotations

import io
import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adept_bench.errors import InputError
from adept_bench.figures import item_flips, training_curves, unit_rates
from adept_bench.figures.base import Drawing, MissingError
from adept_bench.figures.style import colour, label, look
from adept_bench.figures.units import kind_of, layers_in_words, short_unit, units_in_order
from adept_bench.results.compact import compact_training
from adept_bench.results.schema import Cell

HERE = Path(__file__).parent
MAKER = runpy.run_path(str(HERE / "varied_cells.py"))
example = runpy.run_path(str(HERE.parent / "results" / "example_cell.py"))["example"]


@pytest.fixture(scope="module")
def stored() -> list[Cell]:
    return MAKER["stored"]()


@pytest.fixture(scope="module")
def ablation() -> list[Cell]:
    return MAKER["ablation"]()


def cell(*args: Any, **changes: Any) -> Cell:
    """An example cell; `training` replaces fields of its training."""
    training = changes.pop("training", {})
    content = {"schema_version": 1, "status": "complete", **example(*args, **changes)}
    content["training"] = compact_training({**content["training"], **training})
    return Cell.model_validate_json(json.dumps(content))


DRAWN: dict[tuple[str, int], tuple[list[Cell], Drawing]] = {}


def drawn(draw: Callable[[Any], Drawing], cells: list[Cell]) -> Drawing:
    """Drawn and laid out: nothing in it may fail. Once a list of cells, since laying out takes most of the time."""
    key = (draw.__module__, id(cells))
    if key not in DRAWN:
        # the list is kept, so that no other one gets its id
        DRAWN[key] = cells, laid_out(draw, cells)
    return DRAWN[key][1]


def laid_out(draw: Callable[[Any], Drawing], cells: list[Cell]) -> Drawing:
    with look():
        drawing = draw(cells)
        assert drawing.figure is not None
        drawing.figure.draw_without_rendering()
    return drawing


def texts(drawing: Drawing) -> list[str]:
    assert drawing.figure is not None
    return [text.get_text() for axes in drawing.figure.axes for text in axes.texts]


# training_curves


def test_the_lines_are_means_over_seeds_and_the_bands_their_range(stored: list[Cell]) -> None:
    drawing = drawn(training_curves.draw, stored)
    axes = drawing.figure.axes[0]  # type: ignore[union-attr]
    for method in ("full", "adept"):
        losses = np.array([[p.loss for p in one.training.curve] for one in stored if one.method == method])
        assert losses.shape == (3, 40)
        line = next(line for line in axes.lines if line.get_color() == colour(method))
        np.testing.assert_allclose(line.get_ydata(), losses.mean(axis=0))
        heights = [np.unique(band.get_paths()[0].vertices[:, 1]) for band in axes.collections]
        assert any(np.isclose(band.max(), losses.max()) and np.isclose(band.min(), losses.min()) for band in heights)


def test_the_legend_has_every_method_that_trains_in_the_order_of_the_ends(stored: list[Cell]) -> None:
    drawing = drawn(training_curves.draw, stored)
    shown = [text.get_text() for text in drawing.figure.axes[0].get_legend().get_texts()]  # type: ignore[union-attr]
    ends = [float(text.split()[-1]) for text in shown]
    assert ends == sorted(ends, reverse=True)
    names = {text.rsplit(None, 1)[0] for text in shown}
    assert names == {label(name) for name in ("full", "replay", "llama-pro", "frozen", "lora", "adept")}


def test_the_numbers_are_the_stored_curves(stored: list[Cell]) -> None:
    drawing = drawn(training_curves.draw, stored)
    expected = {
        (one.method, one.seed, point.step, point.loss, point.learning_rate)
        for one in stored
        for point in one.training.curve
    }
    assert {tuple(row) for row in drawing.data.rows} == expected
    assert len(drawing.data.rows) == len(expected)
    assert {one.method for one in drawing.cells} == {one.method for one in stored} - {"vanilla"}


def sorted_if_names(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else value


def test_methods_of_one_rate_share_a_line_and_others_have_their_own(stored: list[Cell]) -> None:
    rates = drawn(training_curves.draw, stored).figure.axes[1]  # type: ignore[union-attr]
    named = {text.get_text() for text in rates.get_legend().get_texts()}
    alike: dict[tuple[object, ...], list[str]] = {}
    for method in dict.fromkeys(one.method for one in stored if one.training.curve):
        mine = sorted((one.seed, one.learning_rate.value) for one in stored if one.method == method)  # type: ignore[union-attr]
        alike.setdefault(tuple(mine), []).append(label(method))
    # of more than two the first is named, in the order of tables, and their number
    told = [frozenset(names) if len(names) < 3 else len(names) for names in alike.values()]
    more = {text: re.fullmatch(r".+\nand (\d+) more", text) for text in named}
    found = [int(many[1]) + 1 if many else frozenset(text.split(",\n")) for text, many in more.items()]
    assert sorted(map(str, map(sorted_if_names, found))) == sorted(map(str, map(sorted_if_names, told)))
    assert len(named) > 1
    full = next(line for line in rates.lines if str(line.get_label()).startswith("full CPT"))
    one = next(one for one in stored if one.method == "full")
    np.testing.assert_allclose(full.get_ydata(), [p.learning_rate for p in one.training.curve if p.learning_rate > 0])


def test_variants_have_a_panel_with_the_method_they_vary(ablation: list[Cell]) -> None:
    figure = drawn(training_curves.draw, ablation).figure
    titles = [axes.get_title(loc="left") for axes in figure.axes]  # type: ignore[union-attr]
    assert titles == [
        "training loss", *(f"training loss: {about}" for about in ("selection", "k", "refresh", "probe corpus")),
        "learning rate",
    ]  # fmt: skip
    panel = figure.axes[2]  # type: ignore[union-attr]
    assert {text.get_text().rsplit(None, 1)[0] for text in panel.get_legend().get_texts()} == {
        "ADEPT",
        "k = 1",
        "k = 4",
    }
    looks = {(str(line.get_color()), str(line.get_linestyle())) for line in panel.lines}
    assert len(looks) == 3


def test_one_seed_has_no_band(stored: list[Cell]) -> None:
    drawing = drawn(training_curves.draw, [one for one in stored if one.seed == 0])
    assert not drawing.figure.axes[0].collections  # type: ignore[union-attr]
    assert "One seed" in drawing.caption


def test_curves_of_other_budgets_suites_or_none_are_refused() -> None:
    full, adept = cell("full"), cell("adept", tokens=409600)
    with pytest.raises(InputError, match="training tokens 307200 and 409600"):
        training_curves.draw([full, adept])
    with pytest.raises(InputError, match="lab/math, lab/medical"):
        training_curves.draw([full, cell("adept", suite="math")])
    with pytest.raises(MissingError, match="no cell has a training curve"):
        training_curves.draw([cell("vanilla")])


def test_a_cell_without_its_curve_is_named() -> None:
    drawing = drawn(training_curves.draw, [cell("full"), cell("adept", training={"curve": []})])
    assert drawing.notes == ["adept-seed0: trains, but its file has no training curve"]


# unit_rates


def test_the_map_shows_every_stored_scale(stored: list[Cell]) -> None:
    drawing = drawn(unit_rates.draw, stored)
    adept = [one for one in stored if one.training.refreshes]
    for one, axes in zip(adept, drawing.figure.axes, strict=False):  # type: ignore[union-attr]
        shown = np.asarray(axes.collections[0].get_array()).reshape(22, 4)
        scales = np.array([refresh.lr_scale for refresh in one.training.refreshes]).T
        np.testing.assert_array_equal(shown, scales[units_in_order(one)])
        assert axes.get_title(loc="left").endswith(", ".join(map(str, one.model.expanded_layers)))
    rows = [
        [one.method, one.seed, row["step"], row["name"], row["lr_scale"]]
        for one in adept
        for row in one.training.unit_rows()
    ]
    assert [[*row[:4], row[8]] for row in drawing.data.rows] == rows


def test_a_scale_holds_from_the_step_after_its_refresh() -> None:
    curve = [
        {"step": step, "loss": 1.0, "learning_rate": rate} for step, rate in ((50, 4e-3), (100, 2e-3), (150, 1e-3))
    ]
    one = cell("adept", training={"curve": curve})
    # scales of up_proj are 0.5 at both refreshes, of down_proj 2.0: make the second differ
    refreshes = [
        one.training.refreshes[0],
        one.training.refreshes[1].model_copy(update={"lr_scale": [1.5, 0.0]}),
    ]
    one = one.model_copy(update={"training": one.training.model_copy(update={"refreshes": refreshes})})
    axes = next(
        axes
        for axes in drawn(unit_rates.draw, [one]).figure.axes  # type: ignore[union-attr]
        if axes.get_title(loc="left") == "MLP"
    )
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines if not line.get_label().startswith("_")}
    assert lines["up_proj"] == pytest.approx([0.5 * 4e-3, 0.5 * 2e-3, 1.5 * 1e-3])
    assert lines["down_proj"] == pytest.approx([2.0 * 4e-3, 2.0 * 2e-3, 0.0])
    assert lines["base rate"] == pytest.approx([4e-3, 2e-3, 1e-3])


def test_stored_effective_rates_agree_with_those_that_are_drawn(stored: list[Cell]) -> None:
    """The file's own learning_rate of a refresh is that of its next step; the curve's next point is a little later."""
    one = next(one for one in stored if one.method == "adept" and one.seed == 0)
    points = {point.step: point.learning_rate for point in one.training.curve}
    for refresh in one.training.refreshes[1:]:
        drawn_rates = [points[refresh.step + 10] * scale for scale in refresh.lr_scale]  # type: ignore[operator]
        kept = [rate for rate in refresh.learning_rate if rate]
        np.testing.assert_allclose([rate for rate in drawn_rates if rate], kept, rtol=0.2)


def test_another_decoupled_method_stands_in_for_adept(ablation: list[Cell]) -> None:
    some = [one for one in ablation if one.method in ("vanilla", "adept-no-stage1", "adept-as-released")]
    drawing = drawn(unit_rates.draw, some)
    assert drawing.notes == ["drawn: adept-no-stage1; in the numbers only: adept-as-released"]
    assert "ADEPT without stage 1" in drawing.caption
    with pytest.raises(MissingError, match="rates of units"):
        unit_rates.draw([one for one in ablation if one.method == "vanilla"])


@pytest.mark.parametrize(
    ("name", "kind", "short"),
    [
        ("model.layers.3.self_attn.q_proj.weight", "attention", "q_proj"),
        ("model.layers.3.self_attn.q_norm.weight", "norms", "q_norm"),
        ("model.layers.3.self_attn.q_proj.bias", "attention", "q_proj bias"),
        ("model.layers.13.mlp.down_proj.weight", "MLP", "down_proj"),
        ("model.layers.13.post_attention_layernorm.weight", "norms", "post-attn. norm"),
        ("transformer.h.0.ln_1.weight", "norms", "norm 1"),
        ("transformer.h.0.attn.c_attn.weight", "attention", "c_attn"),
        ("model.layers.3.self_attn", "attention", "attention"),
        ("model.layers.3.mamba.mixer", "other units", "mixer"),
    ],
)
def test_units_in_words(name: str, kind: str, short: str) -> None:
    assert kind_of(name) == kind
    assert short_unit(name) == short


def test_layers_are_named_by_their_number_in_the_base() -> None:
    """12 layers and copies after 4 and 9: the base's 5 is the model's 6, its 10 is the model's 12."""
    one = cell("adept")
    assert one.model.expanded_layers == [4, 9]
    assert layers_in_words(one, [5, 11]) == "copies of 4, 9"
    assert layers_in_words(one, [11]) == "copy of 9"
    assert layers_in_words(one, [0, 6, 12]) == "layers 0, 5, 10"
    assert layers_in_words(one, list(range(5))) == "5 layers"


# item_flips


def test_flips_by_hand() -> None:
    """Two seeds of four general answers: three lost of eight, one gained; domain: none lost, three of six gained."""
    vanilla = [
        cell("vanilla", 0, {"general": [1, 1, 1, 0], "domain": [0, 0, 0]}),
        cell("vanilla", 1, {"general": [1, 1, 1, 1], "domain": [0, 1, 0]}),
    ]
    full = [
        cell("full", 0, {"general": [0, 0, 1, 1], "domain": [1, 1, 0]}),
        cell("full", 1, {"general": [1, 1, 0, 1], "domain": [1, 1, 0]}),
    ]
    drawing = drawn(item_flips.draw, [*vanilla, *full])
    rows = {(row[1], row[2], row[3]): row[4:7] for row in drawing.data.rows}
    assert rows["general", "all", "right_to_wrong"] == [3, 8, pytest.approx(3 / 8)]
    assert rows["general", "all", "wrong_to_right"] == [1, 8, pytest.approx(1 / 8)]
    assert rows["general", 0, "right_to_wrong"] == [2, 4, pytest.approx(0.5)]
    assert rows["general", 1, "right_to_wrong"] == [1, 4, pytest.approx(0.25)]
    assert rows["domain", "all", "right_to_wrong"] == [0, 6, 0]
    assert rows["domain", "all", "wrong_to_right"] == [3, 6, pytest.approx(0.5)]
    bars = [bar.get_width() for bar in drawing.figure.axes[0].patches]  # type: ignore[union-attr]
    assert bars == [pytest.approx(-37.5), pytest.approx(12.5)]
    assert texts(drawing)[:2] == ["3", "1"]


def test_flips_of_the_stored_cells_against_a_plain_count(stored: list[Cell]) -> None:
    drawing = drawn(item_flips.draw, stored)
    base = {one.seed: one for one in stored if one.method == "vanilla"}
    for method in ("full", "adept"):
        lost = sum(
            before == 1 and after == 0
            for one in stored
            if one.method == method
            for before, after in zip(
                base[one.seed].tasks["lab_general"].items, one.tasks["lab_general"].items, strict=True
            )
        )
        row = next(row for row in drawing.data.rows if row[:4] == [method, "general", "all", "right_to_wrong"])
        assert row[4:6] == [lost, 1944]
        assert row[7] < row[6] < row[8]  # type: ignore[operator]


def test_flips_need_vanilla_another_method_and_comparable_answers() -> None:
    with pytest.raises(MissingError, match="no cell of method 'vanilla'"):
        item_flips.draw([cell("full")])
    with pytest.raises(MissingError, match="beside 'vanilla'"):
        item_flips.draw([cell("vanilla")])
    with pytest.raises(MissingError, match="no task"):
        item_flips.draw([cell("vanilla", items={}), cell("full", items={})])
    with pytest.raises(MissingError, match=r"no seed in common: \[1\] and \[0\]"):
        item_flips.draw([cell("vanilla"), cell("full", 1)])
    drawing = drawn(
        item_flips.draw, [cell("vanilla"), cell("full"), cell("lora", items={"general": [1], "domain": [1]})]
    )
    assert "items_hash" in " ".join(drawing.notes) or "n of task" in " ".join(drawing.notes)
    assert {row[0] for row in drawing.data.rows} == {"full"}


@pytest.mark.parametrize("module", [training_curves, unit_rates, item_flips])
def test_equal_cells_give_equal_bytes_in_any_order(module: Any, stored: list[Cell]) -> None:
    pictures = []
    some = [one for one in stored if one.seed < 2 and one.method in ("vanilla", "full", "adept")]
    for cells in (some, some[::-1]):
        with look():
            out = io.BytesIO()
            drawing = module.draw(cells)
            drawing.figure.savefig(out, format="svg", metadata={"Date": None})
            pictures.append((out.getvalue(), drawing.caption, drawing.data))
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("module", [training_curves, unit_rates, item_flips])
def test_no_text_is_smaller_than_8_points(module: Any, ablation: list[Cell]) -> None:
    from matplotlib.text import Text

    figure = drawn(module.draw, ablation).figure
    shown = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]  # type: ignore[union-attr]
    # exponents of 10⁻² are set smaller by matplotlib itself
    assert min(text.get_fontsize() for text in shown) >= 8
