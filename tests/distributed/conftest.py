"""Two processes by torchrun on the CPU (gloo), and the tiny run they share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _ended(command, timeout=900):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture(scope="session")
def python():
    """Runs a script in a process of its own and gives the finished process."""
    return lambda *arguments: _ended([sys.executable, *map(str, arguments)])


@pytest.fixture(scope="session")
def torchrun():
    """The same in several processes; the launcher chooses a free port, so that tests may run side by side."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return lambda *arguments, processes=2, **more: _ended(
        [*launch, f"--nproc_per_node={processes}", *map(str, arguments)], **more
    )


@pytest.fixture(scope="session")
def accelerate():
    """The same by `accelerate launch` with options that say how to share."""
    launch = ["accelerate", "launch", "--num_processes=2", "--num_machines=1"]
    quiet = ["--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0"]
    return lambda sharing, *arguments: _ended([*launch, *sharing, *quiet, *map(str, arguments)])


@pytest.fixture(scope="session")
def settings(tiny_model, texts):
    """Options of `run` for a tiny model: 8 steps of 4 sequences, held-out losses as the measure."""
    domain, general = texts
    chosen = {
        "data.domain": domain,
        "data.general": general,
        "data.probe_documents": 7,
        "data.heldout_documents": 8,
        "training.tokens": 8 * 4 * 32,
        "training.length": 32,
        "training.batch_size": 4,
        "training.save_every": 2,
        "training.log_every": 1,
        "options.k": 2,
        "options.refresh_every": 3,
        "probe.unit_batch_size": 3,
    }
    sets = [part for key, value in chosen.items() for part in ("--set", f"{key}={value}")]
    return ["run", "--suite", "medical", "--model", str(tiny_model), *sets]
