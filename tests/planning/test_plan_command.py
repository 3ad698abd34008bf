"""The plan as a user sees it, and predictions beside what the stored results measured."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import families
import numpy as np
import pytest
from builders import from_sizes
from transformers import AutoConfig

import adept_bench.lab.bases
from adept_bench.__main__ import main
from adept_bench.config.loading import resolve
from adept_bench.planning.compare import compared
from adept_bench.planning.devices import DEVICES, SCALING, device
from adept_bench.planning.evaluation import evaluation_of
from adept_bench.planning.timing import Rate, rate_of
from adept_bench.training.cost import train_flops

RESULTS = Path(__file__).parents[2] / "results"


def plan(capsys, *arguments):
    assert main(["plan", *arguments, "--format", "json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_papers_largest_model_is_planned_from_its_configuration(capsys):
    found = plan(capsys, "--suite", "medical", "--preset", "qwen3-8b", "--device", "h100,rtx4090")
    methods = {one["name"]: one for one in found["methods"]}
    assert methods["full"]["parameters"] == 8_190_735_360
    assert methods["adept"]["layers"] == [26, 28, 29, 30]  # as the paper reports
    assert methods["adept"]["layers_assumed"]
    assert methods["adept"]["operations"]["training"] < 0.6 * methods["full"]["operations"]["training"]
    assert methods["vanilla"]["memory"] is None
    assert methods["full"]["devices"]["rtx4090"]["fits"] != "yes"
    hours = sum(one["devices"]["h100"]["hours"] * one["devices"]["h100"]["devices"] for one in found["methods"])
    assert found["totals"]["device_hours"]["h100"] == pytest.approx(hours * found["totals"]["cells"] / len(methods))


@pytest.mark.parametrize("family", ["mixtral", "qwen3-moe", "deepseek-v3", "gpt-oss"])
def test_experts_are_planned_as_they_are_built(family, capsys, tmp_path):
    kind, options = families.FAMILIES[family]
    model = from_sizes(kind, **(families.COMMON | options))
    model.config.save_pretrained(tmp_path)
    for precision in ("fp32", "bf16"):
        asked = ["--model", str(tmp_path), "--methods", "full,adept,lora", "--device", "h100", "--set", "options.k=1"]
        found = plan(capsys, "--suite", "medical", *asked, "--set", f"training.precision={precision}")
        full, adept, lora = found["methods"]
        assert full["parameters"] == full["trainable"] == sum(p.numel() for p in model.parameters())
        assert adept["trainable"] == sum(p.numel() for p in model.model.layers[3].parameters())
        assert lora["trainable"] < adept["trainable"] * 2
        expected = train_flops(model, tokens=full["tokens"], length=found["training"]["length"])
        assert full["operations"]["training"] == expected
        assert full["memory"]["peak"] > 16 * full["parameters"]  # weights, gradients and two moments, all in 32 bits


def test_a_path_is_a_cell_a_rate(capsys):
    """Seven rates a method, one cell of what does not train; hours of the cells add up."""
    asked = ["--suite", "medical", "--preset", "lab", "--methods", "vanilla,full,adept", "--seeds", "0,1"]
    one, path = plan(capsys, *asked), plan(capsys, *asked, "--rates", "all")
    assert [row["cells"] for row in path["methods"]] == [1, 7, 7]
    assert path["totals"]["cells"] == 2 * 15
    hours = [row["devices"]["cpu"]["hours"] for row in one["methods"]]
    expected = 2 * (hours[0] + 7 * hours[1] + 7 * hours[2])
    assert path["totals"]["device_hours"]["cpu"] == pytest.approx(expected)
    assert main(["plan", *asked, "--rates", "evry"]) == 2
    assert "--rates: 'evry'" in capsys.readouterr().err


def test_two_devices_take_about_half_the_time(capsys):
    arguments = ["--suite", "medical", "--preset", "qwen3-1.7b", "--methods", "adept", "--device", "h200"]
    one, two = plan(capsys, *arguments), plan(capsys, *arguments, "--devices", "2")
    times = [found["methods"][0]["devices"]["h200"]["seconds"]["training"] for found in (one, two)]
    assert times[0] == pytest.approx(2 * SCALING * times[1])


def test_memory_of_several_devices_is_shown_where_there_is_any(capsys):
    arguments = ["--suite", "medical", "--preset", "qwen3-8b", "--methods", "full,adept", "--device", "h100"]
    assert main(["plan", *arguments, "--quiet"]) == 0
    assert "buckets" not in capsys.readouterr().out
    assert main(["plan", *arguments, "--devices", "8", "--quiet"]) == 0
    text = capsys.readouterr().out
    assert "buckets" in text
    assert "with 8 devices, FSDP, 244G of main memory" in text  # 4 bytes for each of 8.19e9, eight times
    found = plan(capsys, *arguments, "--devices", "8")
    full, adept = found["methods"]
    assert full["memory"]["buckets"] == full["memory"]["gradients"] == 4 * 8_190_735_360
    assert full["devices"]["h100"]["main"] == 8 * 4 * 8_190_735_360
    assert (adept["devices"]["h100"]["fits"], adept["devices"]["h100"]["main"]) == ("yes", 0)


def test_the_stages_of_zero_need_less_and_less(capsys):
    """Of full pretraining of 8B, whose optimizer, then gradients, then weights are in eight parts."""
    arguments = ["plan", "--suite", "medical", "--preset", "qwen3-8b", "--methods", "full", "--device", "mi300x"]
    peaks = []
    for strategy in ("ddp", "zero1", "zero2", "zero3"):
        several = ["--devices", "8", "--set", f"training.distributed={strategy}", "--format", "json", "--quiet"]
        assert main([*arguments, *several]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["training"]["distributed"] == strategy
        peaks.append(found["methods"][0]["devices"]["mi300x"]["peak"])
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[0] > 2 * peaks[2]


def test_tables_and_markdown(capsys):
    assert main(["plan", "--suite", "medical", "--methods", "vanilla,full", "--quiet"]) == 0
    text = capsys.readouterr().out
    assert "What a cell needs (medical on lab" in text
    assert "cpu, 1 thread" in text
    assert main(["plan", "--suite", "medical", "--methods", "full", "--format", "markdown", "--quiet"]) == 0
    assert "| full | 1.44M | 100.0% |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "h10"], "--device: unknown device 'h10'"),
        (["--mfu", "1.5"], "--mfu: 1.5 is not a share"),
        (["--methods", "adpt"], "did you mean 'adept'"),
        (["--compare", "--results", "nowhere"], "--compare: no trained result of medical on lab"),
        (
            ["--compare", "--methods", "full"],
            "--compare: takes every stored result of suite and preset; expected no",
        ),
        (["--compare", "--measure"], "expected no --measure"),
        (["--measure", "--device", "h100"], "--measure: times this machine's processor; expected cpu in --device"),
        (["--measure", "--preset", "qwen3-8b"], "expected cpu in --device, which has a100-40, a100-80, h100, ..."),
        (["--mfu", "0.5"], "--mfu: is of accelerators; expected one in --device, which has cpu alone"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(capsys, arguments, message):
    assert main(["plan", "--suite", "medical", *arguments, "--quiet"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.skipif(not (RESULTS / "lab" / "medical").is_dir(), reason="no stored results of lab/medical")
def test_stored_results_have_the_predicted_operations_and_sizes():
    found = compared(RESULTS, "lab", "medical")
    assert {row["method"] for row in found["rows"]} >= {"full", "adept", "lora"}
    for row in found["rows"]:
        for quantity in ("parameters", "trainable", "operations"):
            assert row[quantity]["error"] == 0, (row["method"], row["seed"], quantity)
    # memory is that of a whole process, of which the model is a small part
    errors = [row["memory"]["error"] for row in found["rows"] if row["memory"]["error"] is not None]
    assert max(map(abs, errors)) < 0.25


def test_a_rate_is_a_share_of_the_stated_peak():
    rate = rate_of(DEVICES["h100"], "bf16", 0.5)
    assert rate.operations == 0.5 * 989e12
    assert rate_of(device("cpu"), "fp32", 0.5, Rate(1e9, 1e9, "timed")).operations == 1e9


def test_evaluation_counts_passes_and_names_what_it_does_not_know():
    found = evaluation_of({"general": ["arc_easy"], "domain": ["gsm8k", "mine"]}, None, 10, heldout=7)
    assert found.tokens == 7 + 10 * 4 * 40 + 10 * (75 + 5 * 190)
    assert (found.generated, found.unknown) == (10 * 150, ["mine"])
    named = evaluation_of({"domain": ["cmb", "gsm8k"]}, 2, 10, heldout=0, fewshot={"cmb": 3})
    assert named.tokens == 10 * (90 + 3 * 90) + 10 * (75 + 2 * 190)


def test_hours_follow_from_the_measured_rate(capsys):
    found = plan(capsys, "--suite", "medical", "--methods", "full,adept", "--measure")
    said = found["assumptions"]["rate"]["cpu"]
    stated = float(re.fullmatch(r"timed now: the median of 8 steps of full pretraining, (\S+) GFLOP/s", said)[1])
    rates = []
    for one in found["methods"]:
        operations, on_cpu = one["operations"], one["devices"]["cpu"]
        rate = operations["training"] / on_cpu["seconds"]["training"]
        probing = operations["layer_probe"] + operations["unit_probe"] + operations["refreshes"]
        assert on_cpu["seconds"]["probing"] == pytest.approx(probing / rate)
        assert on_cpu["seconds"]["evaluation"] == pytest.approx(operations["evaluation"] / rate)
        everything = operations["training"] + probing + operations["evaluation"]
        assert on_cpu["hours"] == pytest.approx(everything / rate / 3600)
        rates.append(rate)
    assert rates[0] == pytest.approx(rates[1])
    assert 0 < rates[0] < math.inf
    assert rates[0] / 1e9 == pytest.approx(stated, abs=0.05)


def test_the_measured_rate_is_operations_over_the_median_step(monkeypatch):
    """By a clock of the test's: three slow steps, which do not count, then eight, of which one is disturbed."""
    from adept_bench.planning import measuring

    ends = iter(np.cumsum([50.0, 50.0, 50.0, 2.0, 3.0, 2.0, 3.0, 2.0, 100.0, 2.0, 3.0]).tolist())
    monkeypatch.setattr(measuring, "time", SimpleNamespace(perf_counter=lambda: next(ends)))
    config = resolve("medical", overrides=["training.batch_size=2", "training.accumulation=3", "training.length=32"])
    found = measuring.measured_rate(config)
    assert next(ends, None) is None  # a reading a step
    # of the lab's base by hand (docs/plan.md): 6 operations a token and weight of a map, the tied head included, the
    # norms not, and three passes of 4 x length x heads x size of attention
    shape = AutoConfig.from_pretrained(Path(adept_bench.lab.bases.SHIPPED) / "base-0")
    d, i, s = shape.hidden_size, shape.intermediate_size, shape.head_dim
    h, g, layers = shape.num_attention_heads, shape.num_key_value_heads, shape.num_hidden_layers
    weights = layers * (2 * d * h * s + 2 * d * g * s + 3 * d * i) + d * shape.vocab_size
    tokens = 2 * 3 * 32
    operations = tokens * (6 * weights + layers * 12 * 32 * h * s)
    assert found.operations == pytest.approx(operations / 2.5, rel=0.02)
    assert found.bandwidth == pytest.approx(5.7e9 * found.operations / 44e9)
