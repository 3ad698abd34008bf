"""When a preset's results cannot speak of a claim: each circumstance of the ledger, and its absence."""

from __future__ import annotations

import pytest

from adept_bench.claims import evaluate

FALLING = [9.0, *(1.0 - 0.05 * layer for layer in range(11))]


def row_of(cells, id):
    return next(row for row in evaluate(cells) if row["id"] == id)


def scored(cell, method, seed, domain, parts=None, **settings):
    right = round(160 * domain)
    items = {"general": [1] * 120 + [0] * 40, "domain": [1] * right + [0] * (160 - right)}
    return cell(method, seed, items, parts=parts, **settings)


@pytest.mark.parametrize(("base", "kind"), [(0.0625, "undecidable"), (0.1, "undecidable"), (0.5, None)])
def test_a_base_at_chance_has_nothing_to_lose(cell, base, kind):
    """Chance is 1 of 16; .1 is 4% of what can be had beyond it."""
    cells = [scored(cell, "vanilla", seed, base) for seed in range(3)]
    cells += [scored(cell, "full", seed, 0.8 + seed / 100) for seed in range(3)]
    row = row_of(cells, "full-below-base-medical")
    assert row["kind"] == kind
    if kind:
        assert (row["verdict"], row["p_adjusted"]) == ("inconclusive", None)
        assert row["rule"].startswith("the base is at chance on domain: ")
        assert row["p"] < 0.05
    else:
        assert row["verdict"] == "not reproduced"


@pytest.mark.parametrize(("size", "verdict"), [(1_600_000, "inconclusive"), (2_000_000_000, "direction reproduced")])
def test_seconds_and_shares_of_a_small_model(cell, size, verdict):
    parts = {"model": {"total_parameters": size}}
    cells = [
        cell(method, seed, seconds=seconds + seed, parts=parts)
        for method, seconds in (("adept", 20.0), ("full", 60.0))
        for seed in range(4)
    ]
    for id in ("training-time", "trainable-share"):
        row = row_of(cells, id)
        assert (row["verdict"], row["kind"]) == (verdict, "undecidable" if verdict == "inconclusive" else None)


def with_importance(cell, seed, importance, chosen, method="adept"):
    probe = {"layers_general": {"metric": "masking", "base_loss": 0.5, "importance": importance}}
    model = {"hash": f"base-{seed}", "base_layers": 12, "expanded_layers": list(chosen)}
    return cell(method, seed, parts={"probe": probe, "model": model})


def test_layers_without_an_order_in_common(cell):
    orders = [
        [3, 7, 1, 10, 5, 0, 8, 2, 9, 4, 6],
        [6, 0, 9, 3, 8, 10, 1, 4, 2, 7, 5],
        [1, 8, 4, 6, 0, 2, 10, 9, 5, 3, 7],
    ]
    cells = [
        with_importance(cell, seed, [50.0, *map(float, order)], chosen)
        for seed, (order, chosen) in enumerate(zip(orders, [(2, 10), (3, 8), (1, 9)], strict=True))
    ]
    row = row_of(cells, "importance-falls")
    assert row["kind"] == "undecidable"
    assert row["rule"].startswith("no depth structure")
    assert row_of(cells, "selected-layers-late")["kind"] == "undecidable"
    # two bases say nothing of what bases have in common
    assert row_of(cells[:2], "importance-falls")["kind"] != "undecidable"


def test_layers_with_an_order_in_common(cell):
    cells = []
    for seed in range(3):
        falling = FALLING.copy()
        falling[seed + 1], falling[seed + 2] = falling[seed + 2], falling[seed + 1]
        cells.append(with_importance(cell, seed, falling, (9 + seed % 2, 11)))
    row = row_of(cells, "importance-falls")
    assert (row["verdict"], row["kind"]) == ("reproduced", None)
    assert row_of(cells, "selected-layers-late")["verdict"] == "direction reproduced"
    # the same is told for the other probe where it has cells
    flat = [with_importance(cell, s, FALLING[::-1], (0, 1), "adept-probe-text") for s in range(3)]
    assert row_of([*cells, *flat], "importance-falls.adept-probe-text")["verdict"] == "not reproduced"


@pytest.mark.parametrize(("corpus", "kind"), [("lab:general", "undecidable"), ("lab:general-without-tested", None)])
def test_a_replay_that_rehearses_what_is_asked(cell, corpus, kind):
    parts = {"config": {"data": {"general": corpus}}, "training": {"mix": {"replay_share": 0.2}}}
    cells = [scored(cell, "adept", seed, 0.5 + seed / 50) for seed in range(3)]
    cells += [scored(cell, "replay", seed, 0.5, parts) for seed in range(3)]
    row = row_of(cells, "general-over-replay-medical")
    assert (row["kind"] == "undecidable") == (kind == "undecidable")
    assert ("rehearses" in row["rule"]) == (kind == "undecidable")
