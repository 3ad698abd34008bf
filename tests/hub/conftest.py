"""A Hub of our own with a tiny model on it, and commands run against it."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import qwen3
from hub.server import Hub

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Done:
    """What a command left."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def error(self) -> str:
        """The one line of a command that was refused."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert self.code == 2, (self.code, self.err)
        assert len(lines) == 1, lines
        return lines[0]


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    server = Hub(tmp_path_factory.mktemp("hub"))
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _as_it_was(request):
    """Whatever a test did to the server is over after it."""
    if "hub" not in request.fixturenames:
        return
    hub = request.getfixturevalue("hub")
    yield
    hub.cut.clear()
    hub.log.clear()
    if not hub.answers:
        hub.start()


@pytest.fixture(scope="session")
def _environment(hub, tmp_path_factory):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    return kept | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path_factory.mktemp("home")),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(REPOSITORY),
    }


@contextmanager
def _runner(environment):
    """A process of `runner.py`, as a function of arguments and folder."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("runner.py"))],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def run(folder: Path, arguments: tuple[object, ...]) -> Done:
            call = {
                "arguments": [str(argument) for argument in arguments],
                "folder": str(folder),
                "environment": {"ADEPT_BENCH_CACHE": str(folder / "cache")},
            }
            process.stdin.write(json.dumps(call) + "\n")
            process.stdin.flush()
            code = int(process.stdout.readline())
            return Done(code, (folder / "stdout").read_text(), (folder / "stderr").read_text(), folder)

        yield run
        process.stdin.close()


@pytest.fixture(scope="session")
def _online(_environment):
    with _runner(_environment) as run:
        yield run


@pytest.fixture(scope="session")
def _offline(_environment):
    with _runner(_environment | {"HF_HUB_OFFLINE": "1"}) as run:
        yield run


@pytest.fixture
def adept(_online, tmp_path):
    """Run `adept-bench ARGUMENTS` in `tmp_path`, with a cache of its own there."""
    return lambda *arguments: _online(tmp_path, arguments)


@pytest.fixture
def adept_offline(_offline, tmp_path):
    """The same with HF_HUB_OFFLINE=1."""
    return lambda *arguments: _offline(tmp_path, arguments)


@pytest.fixture(scope="session")
def model_files(tiny_model):
    """The files of a tiny Qwen3 with its tokenizer, and of the same shape with other weights."""
    first = {path.name: path.read_bytes() for path in sorted(tiny_model.iterdir())}
    config = json.loads(first["config.json"])
    kept = ("vocab_size", "num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings")
    folder = tiny_model.parent / "other"
    qwen3(seed=1, eos_token_id=config["eos_token_id"], **{key: config[key] for key in kept}).save_pretrained(folder)
    return first, first | {"model.safetensors": (folder / "model.safetensors").read_bytes()}


@dataclass(frozen=True)
class Tiny:
    """A model on the Hub: its id, the commit that main names, an older one, and the files of both."""

    id: str
    main: str
    older: str
    main_files: dict
    older_files: dict


@pytest.fixture(scope="session")
def tiny_on_hub(hub, model_files):
    newer, older = model_files
    first = hub.commit("models", "org/tiny", older)
    return Tiny("org/tiny", hub.commit("models", "org/tiny", newer), first, newer, older)
