"""Which share of a step each process has, and what launchers may ask for."""

import os
import subprocess
import sys

import pytest

from adept_bench.config.schema import TrainingConfig
from adept_bench.distributed import strategy
from adept_bench.distributed.group import Group, launched, unlaunched
from adept_bench.errors import InputError


def _training(batch_size, accumulation=1, **more):
    tokens = 4 * batch_size * accumulation
    return TrainingConfig(tokens=tokens, length=4, batch_size=batch_size, accumulation=accumulation, **more)


@pytest.mark.parametrize("batch_size", range(1, 9))
@pytest.mark.parametrize("accumulation", range(1, 7))
@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_the_shares_make_up_the_step(batch_size, accumulation, processes):
    training = _training(batch_size, accumulation)
    if batch_size * accumulation % processes:
        with pytest.raises(InputError, match=f"cannot be divided over {processes} processes"):
            strategy.share_of(training, processes)
        return
    share = strategy.share_of(training, processes)
    assert share.batch_size * share.accumulation * processes == batch_size * accumulation
    assert share.batch_size <= batch_size
    if accumulation % processes == 0:  # fewer batches in turn, each as configured
        assert share == strategy.Share(batch_size, accumulation // processes)


def test_what_the_launcher_says(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert launched() == Group(0, 1, 0)
    for name, value in (("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert launched() == Group(5, 8, 1)
    assert not launched().main


def test_accelerate_has_the_last_word(monkeypatch):
    assert strategy.strategy_of(_training(2)) == "one process"
    monkeypatch.setattr(strategy, "group", lambda: Group(0, 2, 0))
    for name in ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED", "FSDP_VERSION"):
        monkeypatch.delenv(name, raising=False)
    assert strategy.strategy_of(_training(2)) == "ddp"
    assert strategy.strategy_of(_training(2, distributed="fsdp2")) == "fsdp2"
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    assert strategy.strategy_of(_training(2)) == "fsdp2"
    monkeypatch.setenv("FSDP_OFFLOAD_PARAMS", "true")
    with pytest.raises(InputError, match="--fsdp_offload_params: true; expected false"):
        strategy.strategy_of(_training(2))
    monkeypatch.setenv("FSDP_VERSION", "1")
    with pytest.raises(InputError, match="--fsdp_version: 1; expected 2"):
        strategy.strategy_of(_training(2))


def test_deepspeed_is_zero_and_nothing_else(monkeypatch):
    monkeypatch.setattr(strategy, "group", lambda: Group(0, 2, 0))
    monkeypatch.setattr(strategy, "find_spec", lambda name: object())
    for name in list(os.environ):
        if name.startswith("ACCELERATE_"):
            monkeypatch.delenv(name)
    assert strategy.strategy_of(_training(2, distributed="zero3")) == "zero3"
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    assert strategy.strategy_of(_training(2, distributed="fsdp2")) == "zero2"
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "1")
    assert strategy.strategy_of(_training(2)) == "zero1"
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "0")
    with pytest.raises(InputError, match="--zero_stage: 0; expected 1, 2 or 3"):
        strategy.strategy_of(_training(2))
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE", "cpu")
    with pytest.raises(InputError, match="--offload_optimizer_device: cpu; expected --zero_stage alone"):
        strategy.strategy_of(_training(2))
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE", "none")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", "mine.json")
    with pytest.raises(InputError, match=r"--deepspeed_config_file: mine\.json; expected"):
        strategy.strategy_of(_training(2))
    monkeypatch.delenv("ACCELERATE_DEEPSPEED_CONFIG_FILE")
    monkeypatch.setattr(strategy, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="zero2 needs the package deepspeed"):
        strategy.strategy_of(_training(2))


def test_the_environment_is_as_the_launcher_left_it(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_CONFIG_DS_FIELDS", "zero_stage,mixed_precision")
    monkeypatch.delenv("ACCELERATE_USE_FSDP", raising=False)
    with strategy.own_choice():
        assert not {"ACCELERATE_USE_DEEPSPEED", "ACCELERATE_CONFIG_DS_FIELDS"} & set(os.environ)
        os.environ["ACCELERATE_USE_FSDP"] = "true"
    assert os.environ["ACCELERATE_USE_DEEPSPEED"] == "true"
    assert os.environ["ACCELERATE_CONFIG_DS_FIELDS"] == "zero_stage,mixed_precision"
    assert "ACCELERATE_USE_FSDP" not in os.environ


ALONE = """
import datetime, socket
import torch.distributed as distributed
with socket.socket() as found:
    found.bind(("127.0.0.1", 0))
    place = f"tcp://127.0.0.1:{found.getsockname()[1]}"
distributed.init_process_group(
    "gloo", init_method=place, rank=0, world_size=1, timeout=datetime.timedelta(seconds=3)
)
"""


def test_a_program_started_by_one_process_is_a_group_of_its_own(monkeypatch):
    """As vLLM's engine is; what torchrun says in the environment has it wait for a store that nobody opens."""
    said = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_PORT": "1", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    with unlaunched():
        ended = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert {name: os.environ[name] for name in said} == said


def test_the_setting_changes_no_hash():
    """A stored result stays equal: the setting is written only where it differs, and never counts."""
    from adept_bench.suite.cell import _IMMATERIAL

    assert "distributed" not in _training(2).model_dump(mode="json")
    assert "distributed" in _IMMATERIAL["training"]


def test_commands_of_one_process_refuse_several(monkeypatch, capsys):
    from adept_bench.__main__ import main

    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["list", "suites"]) == 2
    assert "list: started in 2 processes; expected one" in capsys.readouterr().err


def test_what_processes_cannot_do_is_refused_before_the_work(monkeypatch):
    from adept_bench.config.loading import resolve
    from adept_bench.suite import run

    monkeypatch.setattr(run, "group", lambda: Group(0, 2, 0))
    monkeypatch.setattr(strategy, "group", lambda: Group(0, 2, 0))
    monkeypatch.delenv("ACCELERATE_USE_FSDP", raising=False)
    run.check_processes(resolve("medical"), None)
    with pytest.raises(InputError, match="--jobs: 3; expected 1, as 2 processes"):
        run.check_processes(resolve("medical"), 3)
    monkeypatch.setattr(strategy, "find_spec", lambda name: object())
    for kind in ("fsdp2", "zero2"):
        measured = [f"training.distributed={kind}", "training.evaluate_every=50"]
        with pytest.raises(InputError, match=rf"training.evaluate_every: 50 .* expected none with {kind}"):
            run.check_processes(resolve("medical", overrides=measured), None)
        sharded = [f"training.distributed={kind}", "training.optimizer=adamw-8bit"]
        with pytest.raises(InputError, match=rf"training.optimizer: adamw-8bit .* expected adamw with {kind}"):
            run.check_processes(resolve("medical", overrides=sharded), None)
