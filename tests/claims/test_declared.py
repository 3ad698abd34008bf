"""What a preset declared before its first cell is its primary family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from path_cells import bases, path_cells

from adept_bench.claims import as_markdown, evaluate, plan_power
from adept_bench.claims.declared import declared_by, on_preset
from adept_bench.claims.loading import load_ledger
from adept_bench.config.experiments import load_preset
from adept_bench.errors import InputError
from adept_bench.results.schema import Cell

PRESET = "smollm2-135m"
PATHS = {
    "full": [(0.3, 0.8), (0.7, 0.4), (0.9, 0.1)],
    "llama-pro": [(0.3, 0.8), (0.7, 0.45), (0.9, 0.1)],
    "replay": [(0.3, 0.85), (0.7, 0.8), (0.9, 0.6)],
    "adept": [(0.3, 0.85), (0.6, 0.7), (0.8, 0.4)],
}


@pytest.fixture
def real(cell: Callable[..., Cell]) -> list[Cell]:
    """Cells of one seed of the real model's preset, with eight documents."""
    settings = {"documents": 8, "parts": {"preset": PRESET, "suite": "medical"}}
    cells = [one for method, places in PATHS.items() for one in path_cells(cell, method, places, (0,), **settings)]
    return [*bases(cell, (0.1, 0.9), (0,), **settings), *cells]


def test_the_preset_declares_three_claims_and_the_ledgers_own_become_secondary() -> None:
    ledger = load_ledger()
    mine = on_preset(ledger, PRESET)
    primary = [claim for claim in mine.claims if claim.family == "primary"]
    assert [claim.measure.reference for claim in primary] == ["full", "llama-pro", "replay"]
    assert {claim.measure.level for claim in primary} == {0.7}
    before = [claim.id for claim in ledger.claims]
    assert [claim.id for claim in mine.claims[3:]] == before
    assert on_preset(ledger, "lab") is ledger
    assert on_preset(ledger, "a preset of a user's own") is ledger


def test_declared_claims_are_judged_with_one_base_model(real: list[Cell]) -> None:
    """Full CPT's best domain loss is 0.3 and the base's 2.7; 70% of the way is an acquisition of 0.66 in the places'
    unit. ADEPT keeps there 0.61 by its line, full 0.44: 0.17 times three nats."""
    rows = {row["id"]: row for row in evaluate(real) if row["family"] == "primary"}
    assert set(rows) == {f"declared-kept-over-{other}" for other in ("full", "llama-pro", "replay")}
    row = rows["declared-kept-over-full"]
    assert row["estimate"]["value"] == pytest.approx(3 * (0.61 - 0.44))
    assert row["estimate"]["over"] == "items"
    assert row["p"] is not None
    assert row["tests"] == 3
    assert row["verdict"] == "direction reproduced"
    assert rows["declared-kept-over-replay"]["verdict"] == "not reproduced"


def test_every_output_says_what_was_declared(real: list[Cell]) -> None:
    text = as_markdown(evaluate(real))
    assert "declared in the preset before its first cell: ADEPT against full, llama-pro, replay in general loss" in text


def test_power_is_of_the_spread_that_the_preset_assumed() -> None:
    declared = declared_by(PRESET)
    assert declared is not None
    planned = [one for one in plan_power([], [PRESET]) if one.family == "primary"]
    assert [one.basis.item_error for one in planned] == [declared.assumed.item_error] * 3
    assert all(0.01 < size.single < 0.03 for one in planned for size in one.detectable)


@pytest.mark.parametrize(
    ("line", "value", "said"),
    [
        ("level: 0.7", "level: 70", "declared.level"),
        ("references: [full, llama-pro, replay]", "references: [full, llama-por]", "llama-pro"),
        ("references: [full, llama-pro, replay]", "references: [adept]", "compared with itself"),
        ("suite: medical\n  by", "suite: medicine\n  by", "medical"),
        ("by: loss", "by: losses", "loss"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_by_line(tmp_path: Path, line: str, value: str, said: str) -> None:
    shipped = Path(__file__).parents[2] / "experiments" / "presets" / f"{PRESET}.yaml"
    text = shipped.read_text(encoding="utf-8")
    assert text.count(line) == 1
    mine = tmp_path / "mine.yaml"
    mine.write_text(text.replace(line, value), encoding="utf-8")
    with pytest.raises(InputError, match=rf"mine\.yaml:\d+.*{said}"):
        load_preset(str(mine))
