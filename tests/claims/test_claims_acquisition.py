"""The primary claims: whole paths, told for other probes too, and a family of their own."""

from __future__ import annotations

import numpy as np
import pytest
from path_cells import bases, path_cells, point, world

from adept_bench.claims import as_markdown, as_text, evaluate
from adept_bench.claims.holm import holm
from adept_bench.claims.ledger import Measure
from adept_bench.claims.measures import MEASURES

FULL = [(0.2, 0.8), (0.6, 0.4), (0.9, 0.1)]
BETTER = [(0.2, 0.9), (0.5, 0.6), (0.7, 0.5)]
MUCH_BETTER = [(0.2, 0.9), (0.5, 0.9), (0.8, 0.8)]


def shifted(places, by):
    return [(learned, round(kept + by, 3)) for learned, kept in places]


@pytest.fixture
def cells(cell):
    """ADEPT keeps more than full CPT in every seed, by another amount in each; with plain text it keeps less."""
    made = bases(cell, (0.1, 0.9), range(4))
    for seed, by in enumerate((0.0, -0.05, -0.05, -0.1)):
        made += path_cells(cell, "adept", shifted(MUCH_BETTER, by), [seed])
        made += path_cells(cell, "full", FULL, [seed])
        made += path_cells(cell, "adept-probe-text", shifted(FULL, by), [seed])
    return made


def by_id(rows):
    return {row["id"]: row for row in rows}


def test_the_mean_over_the_range_in_points(cell):
    sides = {}
    for one in world(cell, {"full": FULL, "adept": BETTER}):
        sides.setdefault(one.method, []).append(one)
    found = MEASURES["kept"](sides, Measure(name="kept", method="adept", reference="full", by="accuracy"), None)
    levels = np.linspace(0.1, 0.7, 101)
    ours = np.select([levels <= 0.2, levels <= 0.5], [np.full(101, 0.9), 1.1 - levels], 0.85 - levels / 2)
    assert (found.estimate, found.unit) == (pytest.approx(100 * np.mean(ours - (1 - levels))), "points")
    assert (found.span.held, found.span.low, found.span.high) == ("acquisition", "10.0%", "70.0%")
    assert [(one.what, pytest.approx(one.value)) for one in found.beside] == [
        ("at 25% of full CPT's way", 10.0),
        ("at 50% of full CPT's way", 10.0),
        ("at 75% of full CPT's way", 20.0),
    ]
    loss = MEASURES["kept"](sides, Measure(name="kept", method="adept", reference="full", by="loss"), None)
    assert loss.unit == "nats"
    # losses are three times as far apart; the same path, so the same mean in nats
    assert loss.estimate == pytest.approx(3 * np.mean(ours - (1 - levels)))
    assert len(found.cells) == 3 * 7


def test_primary_is_corrected_by_itself_and_told_for_the_other_probe(cells):
    rows = by_id(evaluate(cells))
    kept, learned = rows["kept-over-full-medical"], rows["learned-over-full-medical"]
    assert (kept["family"], kept["correction"], kept["tests"]) == ("primary", "Holm", 2)
    assert [kept["p_adjusted"], learned["p_adjusted"]] == pytest.approx(holm([kept["p"], learned["p"]]))
    assert kept["verdict"] == "direction reproduced"
    assert kept["estimate"]["value"] > 0
    text = rows["kept-over-full-medical.adept-probe-text"]
    assert (text["family"], text["correction"], text["variant_of"]) == (
        "secondary",
        "Benjamini-Hochberg",
        "kept-over-full-medical",
    )
    assert text["estimate"]["value"] < 0
    # nothing is told for a variant without cells
    assert "kept-over-full-medical.adept-one-range" not in rows
    assert rows["kept-over-lora-medical"]["verdict"] == "no data"


def test_outputs_show_families_ranges_and_both_p_values(cells):
    rows = evaluate(cells)
    text = as_text(rows)
    assert max(map(len, text.splitlines())) <= 120
    assert "Primary claims (Holm over the 2 that can be tested)" in text
    assert "kept-over-full-medical: over acquisition 10.0% to" in " ".join(text.split())
    markdown = as_markdown(rows)
    row = next(line for line in markdown.splitlines() if "keeps more general accuracy than full CPT" in line)
    kept = by_id(rows)["kept-over-full-medical"]
    assert f"| {kept['p']:.3f} | {kept['p_adjusted']:.3f} |" in row.replace("<.001", f"{kept['p']:.3f}")


def test_chosen_rates_alone_make_the_old_claims(cells):
    """The second rate of each path is the chosen one."""
    row = by_id(evaluate(cells))["general-over-full-medical"]
    assert row["about"] == "ADEPT beside full CPT, at the chosen rates"
    assert (row["cells"], row["seeds"]) == (8, [0, 1, 2, 3])
    assert row["estimate"]["value"] == pytest.approx(100 * np.mean([0.5, 0.45, 0.45, 0.4]), abs=2.6)
    assert all("@" not in source for source in row["sources"])


def test_paths_without_a_common_range_are_undecidable(cell):
    made = world(cell, {"full": FULL, "adept": [(0.05, 0.9), (0.1, 0.8), (0.08, 0.7)]})
    row = by_id(evaluate(made))["kept-over-full-medical"]
    assert (row["verdict"], row["kind"], row["p_adjusted"]) == ("inconclusive", "undecidable", None)
    assert "no range of acquisition" in row["rule"]


def test_one_rate_is_no_path_and_unequal_numbers_of_rates_do_not_compare(cell):
    made = world(cell, {"full": FULL}) + [point(cell, "adept", s, 0.001, (0.3, 0.7), chosen=True) for s in range(3)]
    row = by_id(evaluate(made))["kept-over-full-medical"]
    assert row["verdict"] == "no data"
    assert "run --rates all" in row["rule"]
    made = world(cell, {"full": FULL, "adept": BETTER[:2]})
    assert "2 and 3" in by_id(evaluate(made))["kept-over-full-medical"]["rule"]
