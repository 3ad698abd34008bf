"""The timing harness on the lab's shape, two steps a method: what is stored, not how fast this machine is."""

from __future__ import annotations

import json
import weakref

import pytest
import torch

from adept_bench.__main__ import main
from adept_bench.planning.devices import known_device
from adept_bench.probing import units
from adept_bench.results.timing import device_folder, load_timings, read_timing, timing_path
from adept_bench.suite.machine import device_name
from adept_bench.timing import harness
from adept_bench.timing.numbers import numbers

SMALL = ["training.length=32", "training.batch_size=2", "data.probe_documents=2", "probe.max_length=16"]


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    settings = [part for setting in SMALL for part in ("--set", setting)]
    arguments = [
        "--methods",
        "full,llama-pro,lora,frozen,adept",
        "--steps",
        "4",
        "--warmup",
        "1",
        "--results",
        str(results),
        "--quiet",
    ]
    assert main(["bench", *arguments, *settings]) == 0
    return results


def test_a_timing_holds_what_a_step_costs(timed):
    found = {timing.method: timing for timing in load_timings(timed).values()}
    full, adept = found["full"], found["adept"]
    assert full.trainable_parameters == full.total_parameters == 1_438_560  # the lab's base
    assert list(adept.expanded_layers) == [10, 11]  # assumed: random weights say nothing of importance
    assert full.tokens_per_step == 64
    assert len(full.step_seconds) == 4
    # the step that a refresh precedes is left out
    assert len(adept.step_seconds) == 3
    assert len(adept.refresh_seconds) == 1
    assert min(adept.layer_probe_seconds, adept.unit_probe_seconds, *adept.refresh_seconds) > 0
    assert full.layer_probe_seconds is None
    assert adept.flops_per_step < full.flops_per_step


def test_every_method_is_timed_on_the_same_base(timed):
    """Of 12 layers; copies are added by two methods."""
    found = {timing.method: timing for timing in load_timings(timed).values()}
    assert {name: one.layers for name, one in found.items()} == {
        "full": 12,
        "llama-pro": 14,
        "lora": 12,
        "frozen": 12,
        "adept": 14,
    }
    assert found["frozen"].total_parameters == 1_438_560
    assert found["llama-pro"].total_parameters == found["adept"].total_parameters


@pytest.mark.parametrize("command", [["bench", "--results"], ["plan", "--suite", "medical", "--slurm"]])
def test_a_file_in_the_place_of_a_folder(command, tmp_path, capsys):
    place = tmp_path / "file"
    place.write_text("")
    assert main([*command, str(place)]) == 2
    assert capsys.readouterr().err.strip() == f"{command[-1]}: {str(place)!r} is a file; expected a folder"


def test_numbers_follow_from_the_steps(timed):
    path = next(timed.glob("timing/*/lab-full.json"))
    timing = read_timing(path).model_copy(
        update={"step_seconds": [1.0, 2.0, 3.0, 4.0, 9.0], "flops_per_step": 6e12, "peak_flops": 1e13}
    )
    shown = numbers(timing)
    assert (shown.step, shown.low, shown.high) == (3.0, 2.0, 4.0)
    assert shown.tokens_per_second == pytest.approx(64 / 3)
    assert shown.share_of_peak == pytest.approx(0.2)


def test_a_damaged_timing_is_left_out(timed, tmp_path):
    folder = tmp_path / "timing" / "cpu"
    folder.mkdir(parents=True)
    content = json.loads(next(timed.glob("timing/*/lab-full.json")).read_text())
    (folder / "lab-full.json").write_text(json.dumps({**content, "schema_version": 2}))
    assert load_timings(tmp_path) == {}


def test_device_names():
    assert device_folder("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3"
    assert known_device("NVIDIA H100 80GB HBM3").name == "h100"
    assert known_device("NVIDIA A100-SXM4-80GB").name == "a100-80"
    assert known_device("Intel Xeon") is None
    # slower relatives of the H100: two cards and a slice
    for name in ("NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA H100 80GB HBM3 MIG 1g.10gb"):
        assert known_device(name) is None


def test_a_method_without_room_is_named_and_gone_when_the_next_is_timed(tmp_path, monkeypatch, capsys):
    """Its model, here in a cycle of references, would count as the next one's memory."""
    made, make, left = [], harness.random_model, []

    def making(*arguments):
        left.append([model() for model in made])
        model = make(*arguments)
        model.itself = [model]
        made.append(weakref.ref(model))
        return model

    def no_room(*_, **__):
        torch.empty(1 << 60, dtype=torch.uint8)

    monkeypatch.setattr(harness, "random_model", making)
    monkeypatch.setattr(units, "probe_units", no_room)
    settings = [part for setting in SMALL for part in ("--set", setting)]
    timing = ["--methods", "adept,full", "--steps", "2", "--warmup", "1", "--results", str(tmp_path)]
    assert main(["bench", *timing, *settings]) == 1
    assert "FAILED adept: the unit probe ran out of memory (" in capsys.readouterr().err
    assert [one.method for one in load_timings(tmp_path).values()] == ["full"]
    assert left == [[], [None]]


def test_figures_show_the_timings(timed, tmp_path, capsys):
    assert main(["figures", "--results", str(timed), "--only", "timing", "--output", str(tmp_path), "--quiet"]) == 0
    (picture,) = tmp_path.glob("timing/*/timing-lab.png")
    rows = [line.split(",") for line in picture.with_suffix(".csv").read_text().splitlines()]
    steps = {row[0]: float(row[3]) for row in rows if row[1] == "step time"}
    assert set(steps) == {"full", "llama-pro", "lora", "frozen", "adept"}
    timing = read_timing(next(timed.glob("timing/*/lab-full.json")))
    assert steps["full"] == pytest.approx(numbers(timing).step)
    entry = json.loads((tmp_path / "manifest.json").read_text())["figures"]
    (described,) = entry.values()
    assert len(described["sources"]) == 5


def test_a_file_of_the_users_is_said_before_the_first_step(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(harness, "time_method", lambda *_: pytest.fail("timed"))
    place = timing_path(tmp_path, device_name(), "lab", "full")
    place.parent.mkdir(parents=True)
    place.write_text("{}")
    assert main(["bench", "--methods", "lora,full", "--results", str(tmp_path), "--quiet"]) == 2
    assert "lab-full.json is there" in capsys.readouterr().err
    assert place.read_text() == "{}"


def test_vanilla_cannot_be_timed(capsys):
    assert main(["bench", "--methods", "vanilla", "--quiet"]) == 2
    assert "--methods: vanilla trains nothing" in capsys.readouterr().err
