"""frontier, frontier_variants, frontier_time and gains along paths, on cells whose paths are known."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from path_cells import point, world

from adept_bench.analysis.acquisition import at_equal_acquisition
from adept_bench.analysis.paths import ACCURACY, path_of
from adept_bench.errors import InputError
from adept_bench.figures.base import MissingError
from adept_bench.figures.export import encode
from adept_bench.figures.registry import FIGURES
from adept_bench.figures.style import look
from adept_bench.results.compact import compact_training
from adept_bench.results.schema import Cell, PathPoint, Validation, Variant

PLACES = {
    "full": [(0.2, 0.8), (0.6, 0.4), (0.9, 0.1)],
    "replay": [(0.3, 0.9), (0.7, 0.8), (0.8, 0.5)],
    "adept": [(0.2, 0.9), (0.5, 0.6), (0.7, 0.5)],
    "adept-probe-text": [(0.2, 0.9), (0.6, 0.8), (0.9, 0.6)],
    "adept-k4": [(0.2, 0.8), (0.5, 0.5), (0.7, 0.2)],
}


@pytest.fixture(scope="module")
def cell(example):
    """The maker of one validated cell."""

    def make(*args: Any, **changes: Any) -> Cell:
        content = {"schema_version": 1, "status": "complete", **example(*args, **changes)}
        content["training"] = compact_training(content["training"])
        return Cell.model_validate_json(json.dumps(content))

    return make


@pytest.fixture(scope="module")
def cells(cell):
    """Paths of three seeds, the third of which learns a little less; k = 4 and the other probe are variants."""
    made = []
    for one in world(cell, PLACES, documents=4):
        moved = (
            point(cell, one.method, 2, one.rate, _less(one), chosen=one.chosen, documents=4) if one.seed == 2 else one
        )
        about = {"adept-k4": "k", "adept-probe-text": "probe corpus"}.get(one.method)
        variant = Variant(of="adept", about=about, settings={"options.k": 4}) if about else None
        made.append(moved.model_copy(update={"variant": variant}))
    return made


def _less(one):
    return 0.9 * one.groups["domain"], one.groups["general"]


def drawn(name, cells):
    drawing = FIGURES[name].draw(cells)
    rows = [dict(zip(drawing.data.header, row, strict=True)) for row in drawing.data.rows]
    return drawing, rows


def chosen_of(rows, **wanted):
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def test_frontier_shows_every_point_of_the_core_methods(cells):
    drawing, rows = drawn("frontier", cells)
    assert {row["method"] for row in rows} == {"full", "replay", "adept", "adept-probe-text"}
    assert {row["measure"] for row in rows} == {"accuracy", "statement", "loss"}
    points = chosen_of(rows, measure="accuracy", method="full", kind="point", seed=0)
    assert [(row["rate"], row["acquisition"], row["retention"], row["chosen"]) for row in points] == [
        (None, pytest.approx(10), pytest.approx(90), None),
        (0.001, pytest.approx(20), pytest.approx(80), 0),
        (0.002, pytest.approx(60), pytest.approx(40), 1),
        (0.004, pytest.approx(90), pytest.approx(10), 0),
    ]
    mean = chosen_of(rows, measure="loss", method="full", kind="mean", rate=0.004)[0]
    domain = [one.losses["domain"].after for one in cells if (one.method, one.rate) == ("full", 0.004)]
    assert (mean["acquisition"], mean["retention"]) == pytest.approx((np.mean(domain), 2.7))
    # the band is the seeds' lowest and highest
    band = chosen_of(rows, measure="accuracy", method="adept", kind="attained")
    assert all(row["low"] <= row["retention"] <= row["high"] for row in band)
    assert any(row["low"] < row["high"] for row in band)
    assert len(drawing.cells) == 3 * (1 + 4 * 3)
    assert "bands: lowest and highest" in drawing.caption.lower()
    assert not drawing.notes


def test_frontier_names_what_it_leaves_out(cells, cell):
    fewer = [one for one in cells if not (one.method == "replay" and one.rate == 0.004)]
    fewer = [one for one in fewer if not (one.method == "adept" and not one.chosen)]
    budget = [
        one.model_copy(update={"training": one.training.model_copy(update={"tokens": 7})})
        if one.method == "adept-probe-text"
        else one
        for one in fewer
    ]
    drawing, rows = drawn("frontier", budget)
    assert {row["method"] for row in rows} == {"full"}
    assert [note.partition(": ")[2] for note in drawing.notes] == [
        "adept: a path has two or more learning rates, here 0.002; `run --rates all` makes them",
        "replay: a path of 2 learning rates beside those of 3",
        drawing.notes[2].partition(": ")[2],
    ]
    assert "training tokens 7 and 307200" in drawing.notes[2]


def test_variants_have_a_picture_of_their_own(cells):
    drawing, rows = drawn("frontier_variants", cells)
    assert {row["method"] for row in rows} == {"full", "adept", "adept-k4"}
    assert "3 methods" in drawing.caption
    with pytest.raises(MissingError, match="no result of a variant"):
        drawn("frontier_variants", [one for one in cells if one.method != "adept-k4"])


def test_gains_of_variants_stand_below_what_they_vary(cells):
    drawing, rows = drawn("gains_variants", cells)
    assert {row["method"] for row in rows} == {"full", "adept", "adept-k4"}
    alone = {tuple(row.items()) for row in drawn("gains", cells)[1] if row["method"] == "adept"}
    assert alone == {tuple(row.items()) for row in rows if row["method"] == "adept"}
    assert drawing.title == "Gains over full CPT at equal acquisition"
    with pytest.raises(MissingError, match="no result of a variant"):
        drawn("gains_variants", [one for one in cells if one.method != "adept-k4"])


def test_without_paths_it_says_how_to_have_them(cells):
    with pytest.raises(MissingError, match="run --rates all"):
        drawn("frontier", [one for one in cells if one.chosen])
    with pytest.raises(InputError, match="one preset and suite"):
        drawn("frontier", [*cells, cells[0].model_copy(update={"suite": "math"})])


def test_gains_are_at_equal_acquisition_where_there_are_paths(cells):
    drawing, rows = drawn("gains", cells)
    assert drawing.title == "Gains over full CPT at equal acquisition"
    full = path_of(cells, "full")
    expected = at_equal_acquisition(path_of(cells, "adept"), full, ACCURACY, full)
    (row,) = chosen_of(rows, measure="accuracy", held="acquisition", method="adept", at="range", seed=None)
    assert (row["difference"], row["low"], row["high"]) == (
        expected.mean.estimate.value,
        expected.mean.estimate.low,
        expected.mean.estimate.high,
    )
    assert (row["range_low"], row["range_high"]) == (expected.range.low, expected.range.high)
    levels = chosen_of(rows, measure="accuracy", held="acquisition", method="adept", seed=None)
    assert [one["at"] for one in levels] == ["range", "25%", "50%"]
    assert any(note.startswith("accuracy at equal acquisition, 75%: adept in seed 2") for note in drawing.notes)
    assert chosen_of(rows, measure="accuracy", at="best", method="full")[0]["difference"] == pytest.approx(
        0.87, abs=0.02
    )


def test_the_table_of_gains_is_its_numbers_in_words(cells):
    """A row a method, the means and levels of the CSV in points, a dash where a level is not attained."""
    drawing, rows = drawn("gains", cells)
    shown = drawing.shown
    assert [row[0] for row in shown.rows] == ["replay", "ADEPT", "ADEPT, probed on plain text"]
    adept = dict(zip(shown.header, shown.rows[1], strict=True))
    mine = {"measure": "accuracy", "held": "acquisition", "method": "adept", "seed": None}
    for column, at in (("general kept, points", "range"), ("at 25%", "25%"), ("at 50%", "50%")):
        (number,) = chosen_of(rows, **mine, at=at)
        assert adept[column].replace("−", "-").startswith(f"{100 * number['difference']:+.1f} [")
    # full CPT learns 0.9 at best in two seeds, 0.81 in the third; ADEPT 0.7 and 0.63, below 75% of that
    assert adept["at 75%"] == "–"
    (best,) = chosen_of(rows, measure="accuracy", at="best", method="adept")
    assert adept["best domain accuracy, %"] == f"{100 * best['difference']:.1f}"


def test_gains_without_paths_are_those_at_the_chosen_rates(cells):
    drawing, rows = drawn("gains", [one for one in cells if one.chosen])
    assert drawing.title == ""
    assert {row["group"] for row in rows} == {"general", "domain"}
    # a path of full CPT alone has nothing beside it
    alone = [one for one in cells if one.chosen or one.method == "full"]
    assert drawn("gains", alone)[0].title == ""


def test_other_figures_get_the_chosen_rates_only(cells):
    for name in ("retention", "main_table", "losses"):
        assert {one.chosen for one in FIGURES[name].draw(cells).cells} == {True}


def _timed(one):
    if one.method == "vanilla":
        return one.model_copy(update={"validation": Validation(groups={"domain": 0.1, "general": 0.9}, losses={})})
    end = {name: pair.after for name, pair in one.losses.items()}
    path = [
        PathPoint(
            step=step, losses={name: 3 - (3 - loss) * step / 100 for name, loss in end.items()}, groups=one.groups
        )
        for step in (50, 100)
    ]
    return one.model_copy(update={"training": one.training.model_copy(update={"path": path})})


def test_frontier_time_is_of_the_chosen_rates(cells):
    drawing, rows = drawn("frontier_time", [_timed(one) for one in cells])
    assert {one.chosen for one in drawing.cells} == {True}
    assert {row["method"] for row in rows} == {"full", "replay", "adept", "adept-probe-text"}
    mean = chosen_of(rows, measure="loss", method="full", seed=0)
    assert [(row["step"], row["acquisition"]) for row in mean] == [
        (0, 3.0),
        (50, pytest.approx(3 - 0.9)),
        (100, pytest.approx(3 - 1.8)),
    ]
    accuracy = chosen_of(rows, measure="accuracy", method="full", seed=0, step=0)
    assert [(row["acquisition"], row["retention"]) for row in accuracy] == [(10, 90)]
    assert "after steps 50; the large one at the end: step 100" in drawing.caption


def test_frontier_time_without_a_base_or_tasks_begins_at_the_first_step(cells):
    timed = [_timed(one) for one in cells if one.method != "vanilla"]
    _, rows = drawn("frontier_time", timed)
    assert min(row["step"] for row in rows if row["measure"] == "accuracy") == 50
    assert min(row["step"] for row in rows if row["measure"] == "loss") == 0
    with pytest.raises(MissingError, match="evaluate_every"):
        drawn("frontier_time", cells)


@pytest.mark.parametrize("name", ["frontier", "frontier_variants", "frontier_time", "gains", "gains_variants"])
def test_the_same_cells_give_the_same_picture(name, cells):
    timed = [_timed(one) for one in cells]
    with look():
        once, again = (encode(FIGURES[name].draw(some).figure, "svg") for some in (timed, timed[::-1]))
    assert once == again
