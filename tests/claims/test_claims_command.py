"""`evaluate` on small invented cells, and the command on folders of them."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from adept_bench.__main__ import main
from adept_bench.claims import as_json, as_markdown, as_text, evaluate
from adept_bench.claims.loading import load_ledger
from adept_bench.claims.verdicts import VERDICTS

RNG = np.random.default_rng(0)
KEYS = {"preset", "id", "statement", "paper", "suite", "estimate", "p", "p_adjusted", "tests", "cells", "seeds"}


def answers(share, items=200):
    """So many right, the same ones for every seed but for a few."""
    right = np.arange(items) < share * items
    return (right ^ (RNG.random(items) < 0.02)).astype(int).tolist()


def suite(cell, scores, *, seeds=5, source="lab:base", **changes):
    """Cells of each method with these shares of general and domain answers."""
    parts = {"model": {"source": source}}
    return [
        cell(method, seed, {"general": answers(general), "domain": answers(domain)}, parts=parts, **changes)
        for method, (general, domain) in scores.items()
        for seed in range(seeds)
    ]


def by_id(rows):
    return {row["id"]: row for row in rows}


SCORES = {"vanilla": (0.9, 0.1), "full": (0.6, 0.5), "replay": (0.8, 0.5), "adept": (0.7, 0.5)}


def test_each_verdict_where_it_belongs(cell):
    rows = by_id(evaluate(suite(cell, SCORES)))
    assert set(rows) == {claim.id for claim in load_ledger().claims}
    assert all(row.keys() >= KEYS for row in rows.values())
    assert rows["general-over-full-medical"]["verdict"] == "direction reproduced"
    assert "none of the paper's backbones" in rows["general-over-full-medical"]["rule"]
    assert rows["general-over-replay-medical"]["verdict"] == "not reproduced"
    assert rows["general-over-vanilla-medical"]["verdict"] == "not reproduced"
    assert (rows["trainable-share"]["verdict"], rows["trainable-share"]["kind"]) == ("inconclusive", "undecidable")
    found = rows["general-over-full-medical"]
    assert found["estimate"]["value"] == pytest.approx(10, abs=3)
    assert (found["cells"], found["seeds"], found["items"]) == (10, [0, 1, 2, 3, 4], 200)
    assert found["sources"][0] == "lab/medical/adept-seed0.json"
    assert found["p_adjusted"] >= found["p"]
    tested = [row for row in rows.values() if row["p_adjusted"] is not None]
    # nothing primary can be tested without paths; what was found sets the level of the secondary intervals
    assert {row["tests"] for row in rows.values() if row["family"] == "secondary"} == {len(tested)}
    assert {row["tests"] for row in rows.values() if row["family"] != "secondary"} == {0}
    called = sum(row["p_adjusted"] < 0.05 for row in tested)
    assert found["estimate"]["adjusted_level"] == pytest.approx(1 - 0.05 * called / len(tested))


def test_what_is_missing_is_named(cell):
    rows = by_id(evaluate(suite(cell, SCORES)))
    assert (rows["domain-over-full-math"]["verdict"], rows["domain-over-full-math"]["rule"]) == (
        "no data",
        "no suite math",
    )
    assert rows["domain-over-full-math"]["missing"] == {"suites": ["math"], "methods": []}
    assert rows["general-over-lora-medical"]["missing"] == {"suites": [], "methods": ["lora"]}
    assert rows["general-over-tasl-medical"]["rule"] == "suite medical without tasl (not implemented)"
    assert rows["general-over-lora-medical"]["estimate"] is None


def test_cells_that_may_not_be_compared_give_no_data(cell):
    cells = suite(cell, {"adept": (0.7, 0.5)}) + suite(cell, {"full": (0.6, 0.5)}, tokens=1)
    row = by_id(evaluate(cells))["general-over-full-medical"]
    assert row["verdict"] == "no data"
    assert "training tokens 307200 and 1" in row["rule"]


def test_presets_do_not_mix(cell):
    cells = suite(cell, {"adept": (0.7, 0.5)}) + suite(cell, {"full": (0.6, 0.5)}, preset="lab-redundant")
    rows = evaluate(cells)
    assert [row["preset"] for row in rows[:: len(rows) // 2]] == ["lab", "lab-redundant"]
    assert {row["verdict"] for row in rows if row["id"] == "general-over-full-medical"} == {"no data"}


def test_one_seed_is_inconclusive_and_not_in_the_family(cell):
    rows = by_id(evaluate(suite(cell, SCORES, seeds=1)))
    row = rows["general-over-full-medical"]
    assert (row["verdict"], row["kind"], row["p_adjusted"]) == ("inconclusive", "underpowered", None)
    # what is left are the chosen layers, which a base alone can be asked about
    assert [one["id"] for one in rows.values() if one["p_adjusted"] is not None] == ["selected-layers-late"]
    assert row["rule"].startswith("one seed")
    assert row["p"] < 0.05


def with_task(cells, name):
    """The general task under another name."""
    return [
        one.model_copy(update={"tasks": {name: one.tasks["task_general"], "task_domain": one.tasks["task_domain"]}})
        for one in cells
    ]


@pytest.mark.parametrize(
    ("source", "task", "adept", "verdict"),
    [
        ("Qwen/Qwen3-1.7B-Base", "mmlu", 0.9, "reproduced"),  # reported +2.55, here about +30
        ("/models/qwen3-1.7b-base/", "mmlu", 0.9, "reproduced"),
        ("Qwen/Qwen3-4B-Base", "mmlu", 0.9, "direction reproduced"),  # reported of the smaller one
        ("Qwen/Qwen3-1.7B-Base", "arc", 0.9, "direction reproduced"),  # reported of another task
    ],
)
def test_sizes_are_judged_on_the_backbone_and_task_they_are_reported_of(cell, source, task, adept, verdict):
    scores = {"full": (0.6, 0.5), "adept": (adept, 0.5)}
    cells = with_task(suite(cell, scores, source=source, suite="math", preset="mine"), task)
    row = by_id(evaluate(cells))["general-over-full-math"]
    assert row["verdict"] == verdict
    compared = [one["compared"] for one in row["paper"]]
    assert (compared[0] is not None) == (verdict == "reproduced")
    assert compared[1] is None  # the headline's maximum over backbones


def test_a_size_that_is_not_reached(cell):
    scores = {"full": (0.60, 0.3), "adept": (0.60, 0.4)}  # domain: reported +18.65, here about +10
    cells = suite(cell, scores, source="Qwen3-1.7B-Base", suite="math", preset="mine")
    cells = [
        one.model_copy(update={"tasks": {"g": one.tasks["task_general"], "gsm8k": one.tasks["task_domain"]}})
        for one in cells
    ]
    row = by_id(evaluate(cells))["domain-over-full-math"]
    assert (row["verdict"], row["rule"].partition("; ")[2]) == ("direction reproduced", "short of the reported 18.65")


def test_outputs(cell):
    rows = evaluate(suite(cell, SCORES) + suite(cell, SCORES, preset="lab-redundant"))
    text = as_text(rows)
    assert max(map(len, text.splitlines())) <= 120
    assert "no data (no suite math): kept-over-full-math, learned-over-full-math" in " ".join(text.split())
    document = json.loads(as_json(rows))
    assert len(document["claims"]) == len(rows)
    assert sum(document["summary"]["lab"].values()) == len(rows) // 2
    markdown = as_markdown(rows)
    assert markdown.count("### The paper's claims on") == 2
    assert "| **not reproduced** |" in markdown
    pipes = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in pipes} == {8}
    for preset in ("lab", "lab-redundant"):
        kinds = ", ".join(f"{n} {kind}" for kind, n in document["kinds"][preset].items())
        counts = {"primary": dict.fromkeys(VERDICTS, 0), "secondary": dict.fromkeys(VERDICTS, 0)}
        for row in document["claims"]:
            if row["preset"] == preset:
                counts["primary" if row["family"] == "primary" else "secondary"][row["verdict"]] += 1
        line = ", ".join(f"{n} {verdict}" for verdict, n in counts["secondary"].items())
        line = f"{preset}, secondary: " + line.replace(" inconclusive", f" inconclusive ({kinds})")
        assert line in " ".join(text.split())
        assert line in markdown
        assert counts["primary"]["no data"] == 6


@pytest.fixture
def results(tmp_path, example):
    for method in ("vanilla", "full", "adept"):
        for seed in (0, 1):
            path = tmp_path / "lab" / "medical" / f"{method}-seed{seed}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            content = {"schema_version": 1, "status": "complete", **example(method, seed)}
            content["training"] = {**content["training"], "refreshes": []}
            path.write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def test_command_with_a_damaged_file_shows_the_rest(results, capsys):
    (results / "lab" / "medical" / "adept-seed1.json").write_text("{", encoding="utf-8")
    assert main(["claims", "--results", str(results), "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert "left out" in err
    assert "adept-seed1.json" in err
    rows = by_id(json.loads(out)["claims"])
    assert rows["general-over-full-medical"]["seeds"] == [0]
    assert rows["full-forgets-medical"]["seeds"] == [0, 1]
    for format in ("table", "markdown"):
        assert main(["claims", "--results", str(results), "--preset", "lab", "--format", format]) == 0
        assert "full CPT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "labs"], "did you mean 'lab'"),
        (["--results", "{results}/none"], "no folder"),
        (["--results", "{results}/lab"], "no readable result"),
    ],
)
def test_nothing_to_show_is_exit_2_and_one_line(results, capsys, arguments, message):
    arguments = [argument.format(results=results) for argument in arguments]
    assert main(["claims", "--results", str(results), *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_nothing_heavy_is_imported():
    """No torch for the claims; for the command's help not even numpy."""
    code = """
import sys
from adept_bench.cli.claims import claims_command
assert not {"numpy", "pydantic", "yaml", "rich"} & set(sys.modules)
import adept_bench.claims
print({"torch", "transformers", "lm_eval", "datasets", "matplotlib", "pandas"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
