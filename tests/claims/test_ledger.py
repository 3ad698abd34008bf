"""The shipped ledger against the paper's numbers, and what a broken one is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adept_bench.claims.loading import LEDGER, load_ledger
from adept_bench.config.experiments import list_suites, load_suite
from adept_bench.errors import InputError

PAPER = Path(__file__).parents[2].parent / "shared" / "paper-results.json"


@pytest.fixture
def paper():
    if not PAPER.is_file():
        pytest.skip(f"{PAPER} is not here")
    return json.loads(PAPER.read_text(encoding="utf-8"))


def table_levels(paper, reported, suite):
    """The accuracy of each method in the table's row for the reported task and backbone."""
    if reported.source == "table_1":
        rows = [r for r in paper["table_1"] if (r["backbone"], r["task"]) == (reported.backbone, reported.task)]
        return {row["method"]: row["accuracy"] for row in rows if row["suite"] == suite}
    rows = [r for r in paper["table_2_ablation_medical"] if r["backbone"] == reported.backbone]
    return {row["method"]: row[reported.task] for row in rows if reported.task in row}


def test_every_number_is_the_papers(paper):
    checked = 0
    for claim in load_ledger().claims:
        for reported in claim.paper:
            block, *keys = reported.source.split(".", 1)
            if block == "headline":
                assert reported.value == paper["headline"][keys[0]], claim.id
            elif block == "expanded_layers":
                assert reported.layers == paper["expanded_layers"][keys[0]]
                assert reported.backbone == keys[0]
                assert reported.of == {"Qwen3-1.7B-Base": 28, "Qwen3-8B-Base": 36}[keys[0]]
            elif block == "token_shift":
                suite = "math" if "math" in claim.id else "medical"
                rows = [row for row in paper["token_shift"] if row["suite"] == suite]
                assert reported.levels == {row["method"]: row["shifted_percent"] for row in rows}
            else:
                levels = table_levels(paper, reported, claim.suites[0])
                assert set(reported.levels) == set(claim.measure.methods)
                assert reported.levels.items() <= levels.items(), claim.id
                mine, other = (reported.levels[method] for method in claim.measure.methods)
                assert claim.size(reported) == pytest.approx(mine - other)
            checked += 1
    assert checked > 30


def test_no_number_of_the_paper_is_left_out(paper):
    """Every cell of the tables, the headline, the layers and the token shift; the refresh interval is no claim."""
    claims = load_ledger().claims
    used = {
        (reported.backbone, claim.suites[0].replace("ablation", "medical"), method, reported.task, level)
        for claim in claims
        for reported in claim.paper
        for method, level in reported.levels.items()
    }
    for row in paper["table_1"]:
        assert (row["backbone"], row["suite"], row["method"], row["task"], row["accuracy"]) in used, row
    for row in paper["table_2_ablation_medical"]:
        for task in row.keys() - {"backbone", "method"}:
            assert (row["backbone"], "medical", row["method"], task, row[task]) in used, (row, task)
    assert {2.18, 5.61, 1.24} <= {level for *_, level in used}
    sources = {reported.source for claim in claims for reported in claim.paper}
    assert {f"headline.{name}" for name in paper["headline"]} <= sources
    assert {f"expanded_layers.{name}" for name in paper["expanded_layers"]} <= sources


def test_sizes_are_on_the_claimed_side():
    """Except a cell that the ledger itself says is not, the paper's numbers agree with its claims."""
    for claim in load_ledger().claims:
        sizes = [size for reported in claim.paper if (size := claim.size(reported)) is not None]
        assert all(size > claim.baseline if claim.direction == "greater" else size < claim.baseline for size in sizes)


def test_every_baseline_and_ablation_has_its_claims():
    claims = [claim for claim in load_ledger().claims if claim.measure.method == "adept"]
    chosen = {(c.suites[0], c.measure.reference, c.measure.group) for c in claims if c.measure.name == "accuracy"}
    groups = ("general", "domain")
    baselines = ("vanilla", "full", "replay", "llama-pro", "lora", "frozen", "tasl")
    ablations = ("no-stage1", "no-stage2", "uniform-expansion")
    choices = ("highest", "random", "domain-importance", "k1", "k4", "probe-text")
    assert chosen == {
        (suite, name, group) for suite in ("medical", "math") for name in baselines for group in groups
    } | {("ablation", f"adept-{name}", group) for name in (*ablations, *choices) for group in groups} | {
        ("medical", "replay-untested", group) for group in groups
    }
    kept = {(c.suites[0], c.measure.reference) for c in claims if c.measure.name == "kept"}
    whole = set(baselines) - {"vanilla", "tasl"}
    assert kept >= {(suite, name) for suite in ("medical", "math") for name in whole}
    assert {reference for _, reference in kept} >= {f"adept-{name}" for name in (*ablations, *choices)}


def test_primary_claims_are_few_and_about_whole_paths():
    primary = [claim for claim in load_ledger().claims if claim.family == "primary"]
    assert [(c.measure.name, c.measure.reference, c.suites, c.measure.by) for c in primary] == [
        ("kept", "full", ["medical"], "accuracy"),
        ("kept", "full", ["math"], "accuracy"),
        ("learned", "full", ["medical"], "accuracy"),
        ("learned", "full", ["math"], "accuracy"),
        ("kept", "llama-pro", ["medical"], "accuracy"),
        ("kept", "lora", ["medical"], "accuracy"),
    ]
    assert all(claim.direction == "greater" and "adept-probe-text" in claim.also for claim in primary)


def test_variants_are_those_of_the_shipped_suites():
    defined = {name for suite in list_suites() for name in load_suite(suite).variants}
    assert set(load_ledger().variants) <= defined


def test_a_claim_told_for_another_method():
    claim = next(one for one in load_ledger().claims if one.family == "primary")
    told = claim.told_for("adept-probe-text")
    assert (told.id, told.family, told.variant_of) == (f"{claim.id}.adept-probe-text", "secondary", claim.id)
    assert told.statement == claim.statement.replace("ADEPT", "adept-probe-text")
    assert told.measure.methods == ("adept-probe-text", "full")
    assert (told.paper, told.also, told.direction) == ([], [], claim.direction)


def test_the_smallest_effect_worth_speaking_of():
    claims = {claim.id: claim for claim in load_ledger().claims}
    assert (claims["general-over-full-math"].baseline, claims["general-over-full-math"].least) == (0.0, 1.0)
    assert claims["full-forgets-math"].least == -1.0
    assert claims["training-time"].least == pytest.approx(1 / 1.1)
    kept = claims["general-over-vanilla-math"]
    assert kept.baseline == kept.least == -1.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    direction: greater\n", "    direction: grater\n", "did you mean 'greater'"),
        ("    suites: [medical]\n", "    suits: [medical]\n", "did you mean 'claims.0.suites'"),
        ("    suites: [medical]\n", "", "suites is missing"),
        ("family: primary", "family: primry", "did you mean 'primary'"),
        ("also: [adept-probe-text,", "also: [adept-probetext,", "did you mean 'adept-probe-text'"),
        ("undecidable: [rehearsed]", "undecidable: [rehersed]", "did you mean 'rehearsed'"),
        ("name: accuracy", "name: acuracy", "did you mean 'accuracy'"),
        ("method: adept,", "method: adapt,", "did you mean 'adept'"),
        (", group: general}", "}", "accuracy needs 'group'"),
        ("{value: 5.76, ", "{value: much, ", "'much' is not valid; expected number"),
        ("{value: 5.76, ", "{", "expected one of value, levels, layers"),
        ("backbone: Qwen3-1.7B-Base,", "backbone: Qwen3-1.7-Base,", "did you mean 'Qwen3-1.7B-Base'"),
        ("task: cmb,", "task: cbm,", "did you mean 'cmb'"),
        ("id: domain-over-full-medical", "id: general-over-full-medical", "already taken"),
    ],
)
def test_a_broken_ledger_is_told_file_line_and_name(tmp_path, old, new, message):
    text = LEDGER.read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "ledger.yaml"
    broken.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=message) as error:
        load_ledger(broken)
    assert str(error.value).startswith(f"{broken}:")
    line = int(str(error.value).removeprefix(f"{broken}:").split(":")[0])
    first = text[: text.index(old)].count("\n") + 1
    assert abs(line - first) <= 4, (line, first)
