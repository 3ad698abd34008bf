"""Timings of `bench` on the page: the numbers against plain ones, the pictures, the claim, and what cannot be read."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from statistics import median

import pytest

from adept_bench.report import drawn, gather
from adept_bench.report.gather import gather as gathered
from adept_bench.report.page import page

FOREIGN = '<b>H100</b> "80" & more'
STEPS = {"full": [1.0, 1.25, 2.5, 1.5], "adept": [0.5, 0.75, 1.0]}


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    for module in (drawn, gather):
        monkeypatch.setattr(module, "FIGURES", {})


@pytest.fixture
def timings(stored, example):
    """A folder with a cell, and timings of two methods on two devices, one with a stated peak."""
    results = stored("full")

    def write(method, device, folder, **changes):
        content = {
            "schema_version": 1,
            "shape": "qwen3-8b",
            "method": method,
            "device": device,
            "layers": 36,
            "total_parameters": 100,
            "trainable_parameters": 10,
            "settings": {
                "length": 8,
                "batch_size": 1,
                "accumulation": 2,
                "precision": "bf16",
                "gradient_checkpointing": True,
            },
            "step_seconds": STEPS[method],
            "tokens_per_step": 3000,
            "flops_per_step": 6e12,
            "peak_memory_bytes": 3 * 2**30,
            "predicted_peak_bytes": 2**30,
            "provenance": example("adept", 0)["provenance"],
            **changes,
        }
        place = results / "timing" / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / f"qwen3-8b-{method}.json").write_text(json.dumps(content))

    write("full", FOREIGN, "h100", peak_flops=1e13)
    probed = {"layer_probe_seconds": 20.0, "unit_probe_seconds": 1.5, "refresh_seconds": [2.0, 4.0, 3.0]}
    write("adept", FOREIGN, "h100", peak_flops=1e13, **probed)
    write("adept", "a processor", "cpu")
    return results


def _rows(text: str) -> list[list[str]]:
    """The cells of the table of timings, as text."""
    body = text.split("What bench measured")[2].split("</table>")[0].split("<tbody>")[1]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in body.split("<tr>")[1:]]


def test_the_table_has_every_timing(timings):
    rows = _rows(page(gathered(timings)))
    assert [row[2] for row in rows] == ["full", "adept", "adept"]
    assert rows[0][:2] == ["qwen3-8b", "&lt;b&gt;H100&lt;/b&gt; &quot;80&quot; &amp; more"]
    for row, method in ((rows[0], "full"), (rows[1], "adept")):
        step = median(STEPS[method])
        shares = [f"{step:.3f}", f"{3000 / step:,.0f}", f"{100 * 6e12 / step / 1e13:.0f}", "3.00"]
        assert row[3:7] == shares
    assert [row[7:] for row in rows] == [["–", "–"], ["21.5", "3.0"], ["–", "–"]]
    assert rows[2][5] == "–"  # no stated peak


def test_a_picture_a_device_with_its_files(timings, outline):
    text = page(gathered(timings))
    found = outline(text)
    assert [one["id"] for one in found.all("figure")] == ["timing-0", "timing-1"]
    assert len(found.all("img")) == 2
    assert not found.all("b")
    for path in timings.glob("timing/*/*.json"):
        assert path.relative_to(timings).as_posix() in found.text
        assert sha256(path.read_bytes()).hexdigest() in found.text
    assert page(gathered(timings)) == text


def test_the_claim_on_training_time_is_judged_by_timings_too(timings, outline):
    presets = {row["preset"]: row for row in gathered(timings).claims}
    assert presets[f"qwen3-8b timed on {FOREIGN}"]["estimate"]["over"] == "steps of one run"
    assert presets["qwen3-8b timed on a processor"]["verdict"] == "no data"


def test_of_one_preset_no_timing_is_shown(timings, outline):
    text = outline(page(gathered(timings, "lab"))).text
    assert "No timing of bench is among these results." in text
    assert "timed on" not in text


def test_what_cannot_be_read_is_named(timings, outline):
    (timings / "timing" / "h100" / "qwen3-8b-lora.json").write_text("{")
    material = gathered(timings)
    assert [line for line in material.missing if "lora" in line] == [
        next(line for line in material.missing if line.startswith("left out: timing/h100/qwen3-8b-lora.json:1: broken"))
    ]
    text = outline(page(material)).text
    assert "timing/h100/qwen3-8b-lora.json:1: broken JSON" in text
    assert str(timings) not in text


def test_a_picture_that_fails_costs_itself_only(timings, monkeypatch, outline):
    from adept_bench.figures import timing

    def broken(_):
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(timing, "draw", broken)
    material = gathered(timings)
    assert len(material.faults) == 2
    assert "Timing, qwen3-8b on a processor: unexpected ZeroDivisionError: of ours" in material.faults
    assert len(_rows(page(material))) == 3


def test_the_committed_timings_are_on_the_page(real_page):
    folder = Path(__file__).parents[2] / "results" / "timing"
    expected = sorted(
        (one["device"], one["method"], f"{median(one['step_seconds']):,.3f}")
        for one in (json.loads(path.read_text()) for path in folder.glob("*/*.json"))
    )
    rows = _rows(real_page.read_text(encoding="utf-8"))
    assert sorted((row[1], row[2], row[3]) for row in rows) == expected
