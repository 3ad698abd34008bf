from __future__ import annotations

import json

import numpy as np
import pytest

from adept_bench.analysis.render import WIDTH, as_json, as_markdown, as_text, blocks
from adept_bench.analysis.table import comparison, comparisons

LONGEST = "adept-uniform-expansion"


@pytest.fixture
def stored(cell):
    """Four methods, three seeds, three groups of 500 items."""
    rng = np.random.default_rng(0)
    groups = ("general", "domain", "domain_known")
    return [
        cell(
            method,
            seed,
            {group: (rng.random(500) < share).astype(int).tolist() for group in groups},
            seconds=seconds + seed,
            general_loss=loss + 0.1 * seed,
        )
        for method, share, seconds, loss in (
            (LONGEST, 0.5, 20.0, 1.2),
            ("full", 0.3, 40.0, 3.9),
            ("vanilla", 0.9, 0.0, 0.58),
            ("adept", 0.7, 30.0, 1.1),
        )
        for seed in (0, 1, 2)
    ]


def test_rows_hold_the_numbers_of_the_cells(stored):
    table = comparison(stored)
    rows = {row["method"]: row for row in table["rows"]}
    assert list(rows) == ["vanilla", "full", "adept", LONGEST]
    assert table["groups"] == ["general", "domain", "domain_known"]
    assert table["notes"] == []
    by_cell = {(one.method, one.seed): one for one in stored}
    for method, row in rows.items():
        own = [by_cell[method, seed] for seed in (0, 1, 2)]
        for group in table["groups"]:
            assert row["groups"][group]["mean"] == pytest.approx(np.mean([one.groups[group] for one in own]))
            corrected = (row["groups"][group]["mean"] - 0.0625) / 0.9375
            assert row["groups"][group]["chance_corrected"] == pytest.approx(corrected)
            for reference in {"vanilla", "full"} - {method}:
                difference = row["differences"][reference][group]
                expected = row["groups"][group]["mean"] - rows[reference]["groups"][group]["mean"]
                assert difference["value"] == pytest.approx(expected)
                assert difference["low"] < expected < difference["high"]
            if method == "vanilla":
                assert row["flips"][group] is None
            else:
                flip = row["flips"][group]
                net = (flip["wrong_to_right"] - flip["right_to_wrong"]) / flip["answers"]
                assert net == pytest.approx(row["differences"]["vanilla"][group]["value"])
    assert rows["adept"]["train_seconds_ratio"] == pytest.approx(31 / 41)
    assert rows["full"]["train_seconds_ratio"] == 1
    assert rows["adept"]["loss_differences"]["full"]["general"]["value"] == pytest.approx(1.1 - 3.9)
    assert rows["adept"]["losses"]["general"]["after"] == pytest.approx(1.2)
    assert "vanilla" not in rows["vanilla"]["differences"]


def test_presets_and_suites_do_not_mix(cell):
    cells = [cell("full", suite=suite, preset=preset) for suite in ("math", "medical") for preset in ("lab", "big")]
    tables = comparisons(cells)
    assert [(table["preset"], table["suite"]) for table in tables] == [
        ("big", "math"),
        ("big", "medical"),
        ("lab", "math"),
        ("lab", "medical"),
    ]


def test_what_cannot_be_compared_is_left_out_with_a_note(cell):
    table = comparison([cell("full", tokens=1000), cell("adept"), cell("vanilla"), cell("lora", 7)])
    rows = {row["method"]: row for row in table["rows"]}
    assert rows["adept"]["differences"]["full"] == {"general": None, "domain": None}
    assert rows["adept"]["differences"]["vanilla"]["general"]["value"] == 0
    assert rows["lora"]["differences"]["vanilla"]["general"] is None
    assert rows["lora"]["train_seconds_ratio"] is None
    notes = " ".join(table["notes"])
    assert "training tokens 307200 and 1000" in notes
    assert "no seed in common" in notes
    assert "different seeds" in notes
    assert "training tokens" in as_text([table])


def test_seconds_of_disturbed_cells_are_not_compared(cell):
    """The rule of the figures of cost and of the claim on training time."""

    def timed(method, seed, seconds, share):
        made = cell(method, seed, seconds=seconds)
        return made.model_copy(update={"cost": made.cost.model_copy(update={"details": {"cpu_share": share}})})

    cells = [
        cell("vanilla", 0),
        *(timed("full", seed, 40.0 + seed, 1.0) for seed in (0, 1)),
        timed("adept", 0, 30.0, 0.95),
        timed("adept", 1, 90.0, 0.5),
        timed("lora", 0, 50.0, 0.6),
    ]
    table = comparison(cells)
    rows = {row["method"]: row for row in table["rows"]}
    assert rows["adept"]["train_seconds_ratio"] == pytest.approx(30 / 40)
    assert rows["adept"]["train_seconds"] == 60  # what the cells took, compared or not
    assert rows["full"]["train_seconds_ratio"] == 1
    assert rows["lora"]["train_seconds_ratio"] is rows["vanilla"]["train_seconds_ratio"] is None
    assert rows["lora"]["train_flops_ratio"] is not None
    (note,) = [note for note in table["notes"] if note.startswith("seconds of")]
    assert note.startswith("seconds of lora-seed0, adept-seed1 are not compared with those of full: other shares")
    assert note in as_text([table], width=400)


def test_losses_are_the_measure_where_there_are_no_tasks(cell):
    table = comparison([cell("full", items={}, general_loss=4.0), cell("adept", items={}), cell("vanilla", items={})])
    assert [block.title.split(" ")[0] for block in blocks(table)] == ["held-out", "held-out", "cost:"]
    text = as_text([table])
    assert "-2.750" in text
    assert "one seed" in text


def test_text_fits_its_width_and_holds_every_method_and_interval(stored):
    table = comparison(stored)
    text = as_text([table])
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "…" not in text
    shown = {line.strip().split("  ")[0] for line in text.splitlines()}
    assert {"vanilla", "full", "adept", LONGEST} <= shown
    adept = next(row for row in table["rows"] if row["method"] == "adept")
    value = adept["differences"]["full"]["domain"]
    interval = f"{100 * value['value']:+.1f} [{100 * value['low']:+.1f}, {100 * value['high']:+.1f}]"
    line = [line for line in text.splitlines() if line.strip().startswith("adept ")][1]
    assert interval in line
    assert f" {adept['flips']['domain']['right_to_wrong']} " in line


def test_markdown_has_a_cell_for_every_column_and_json_is_plain(stored):
    tables = comparisons(stored)
    for group in as_markdown(tables).split("\n\n"):
        pipes = {line.count("|") for line in group.splitlines() if line.startswith("|")}
        assert len(pipes) <= 1
    assert json.loads(as_json(tables)) == {"tables": tables}
