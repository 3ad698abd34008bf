"""A training that is killed and goes on ends with the same numbers as one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# A server that imports once and forks a process a cell: it never computes itself, so its children start clean.
SERVER = """
import hashlib, json, os, signal, sys, torch
sys.path.insert(0, sys.argv[1])
from builders import Tiny
from adept_bench.corpora.packing import PackedDataset
from adept_bench.methods.base import prepare
from adept_bench.methods.registry import get
from adept_bench.training.trainer import train
from pathlib import Path

class Watched:
    # kills the process within update `kill_at` + 1, when its second batch is read (the loader is one batch ahead)
    def __init__(self, data, kill_at): self.data, self.kill_at = data, kill_at
    def __len__(self): return len(self.data)
    def describe(self): return self.data.describe()
    def __getitem__(self, index):
        if self.kill_at and index == 4 * self.kill_at + 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.data[index]

def cell(folder, kill_at, name, save_every):
    options = Tiny.options(k=2, refresh_every=4, lora_dropout=0.1)
    training = Tiny.training(12, accumulation=2, log_every=5, save_every=save_every, weight_decay=0.01)
    # dropout makes the generators part of what must be restored
    model, documents = Tiny.model(attention_dropout=0.2), Tiny.documents()
    context = Tiny.context(model, options, documents)
    method = get(name, options)
    edit, names = prepare(method, model, context)
    rates = method.rates.bind(edit, context, names, {"general": documents})
    domain, general = Tiny.documents(9, 40, seed=5), Tiny.documents(9, 40, seed=6)
    data = PackedDataset(domain, length=16, total=48, seed=0, general=general, replay_share=0.25)
    record = train(edit.model, Watched(data, kill_at), training=training, learning_rate=0.01, rates=rates,
        output_dir=Path(folder), seed=1)
    digest = hashlib.sha256()
    for parameter in edit.model.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return {"weights": digest.hexdigest(), "curve": record.curve, "refreshes": record.refreshes,
        "steps": record.steps, "tokens": record.tokens, "resumed_from": record.resumed_from,
        "seconds": record.seconds, "probe_seconds": record.probe_seconds, "rng": torch.rand(2).tolist()}

for line in sys.stdin:
    answer = Path(sys.argv[2])
    answer.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        torch.set_num_threads(1)
        answer.write_text(json.dumps(cell(**json.loads(line))))
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([status, json.loads(answer.read_text()) if status == 0 else None]), flush=True)
"""
EXACT = ("weights", "curve", "refreshes", "steps", "tokens", "rng")


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """Runs a cell in a process of its own; the result, or None when it was killed."""
    here = Path(__file__)
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(here.parents[1]), str(tmp_path_factory.mktemp("server") / "answer.json")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(here.parents[2]), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )

    def run(folder, *, kill_at=0, name="adept", save_every=3):
        asked = {"folder": str(folder), "kill_at": kill_at, "name": name, "save_every": save_every}
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        status, answer = json.loads(server.stdout.readline())
        assert status == (-signal.SIGKILL if kill_at else 0)
        return answer

    yield run
    server.stdin.close()
    server.wait(60)


@pytest.fixture(scope="module")
def unbroken(cell, tmp_path_factory):
    return {name: cell(tmp_path_factory.mktemp("unbroken"), name=name, save_every=3) for name in ("adept", "lora")}


# refreshes come after updates 4 and 8, checkpoints after every 3 (or, in the fourth case, 4: with a refresh)
@pytest.mark.parametrize(
    ("name", "save_every", "kills"),
    [
        ("adept", 3, [3]),  # before the first refresh
        ("adept", 3, [7]),  # after it
        ("adept", 3, [5, 10, 11]),  # three times; the first loses a refresh and makes it again
        ("adept", 4, [5]),  # the checkpoint is that of a refresh
        ("lora", 3, [7]),
    ],
)
def test_killed_and_resumed_equals_unbroken(cell, tmp_path, unbroken, name, save_every, kills):
    for kill_at in kills:
        cell(tmp_path, kill_at=kill_at, name=name, save_every=save_every)
    resumed = cell(tmp_path, name=name, save_every=save_every)
    assert resumed["resumed_from"] == kills[-1] // save_every * save_every
    for key in EXACT:
        assert resumed[key] == unbroken[name][key], key
    assert unbroken[name]["resumed_from"] is None
    assert [entry["step"] for entry in resumed["refreshes"]] == ([0, 4, 8] if name == "adept" else [])
    assert resumed["seconds"] > 0
    # finished: the last checkpoint is kept with the one before it, and going on from it trains no more
    assert {path.name for path in tmp_path.iterdir()} == {f"checkpoint-{12 - save_every}", "checkpoint-12"}
    if name == "adept" and len(kills) == 1:
        again = cell(tmp_path, name=name, save_every=save_every)
        assert again["resumed_from"] == 12
        assert [again[key] for key in EXACT[:-1]] == [resumed[key] for key in EXACT[:-1]]
        assert again["seconds"] == pytest.approx(resumed["seconds"], rel=0.5)


def test_a_cut_off_checkpoint_is_passed_over(cell, tmp_path, unbroken):
    cell(tmp_path, kill_at=7)
    whole = tmp_path / "checkpoint-6"
    assert (whole / "run_state.json").exists()
    (tmp_path / "checkpoint-9").mkdir()
    (tmp_path / "checkpoint-9" / "trainable.safetensors").write_bytes(b"cut off")
    (tmp_path / "checkpoint-11").mkdir()
    (tmp_path / "checkpoint-11" / "run_state.json").write_text('{"identity": ')
    resumed = cell(tmp_path)
    assert resumed["resumed_from"] == 6
    assert all(resumed[key] == unbroken["adept"][key] for key in EXACT)


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(cell, tmp_path, unbroken):
    cell(tmp_path, kill_at=7, save_every=2)
    resumed = cell(tmp_path, save_every=3)
    assert resumed["resumed_from"] is None
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-9", "checkpoint-12"}
    assert all(resumed[key] == unbroken["adept"][key] for key in EXACT)


def test_a_checkpoint_holds_only_what_trains(cell, tmp_path):
    from safetensors import safe_open

    cell(tmp_path, kill_at=7)
    with safe_open(tmp_path / "checkpoint-6" / "trainable.safetensors", "pt") as stored:
        assert {int(name.split(".")[2]) for name in stored.keys()} == {3, 5}  # noqa: SIM118
