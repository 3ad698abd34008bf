"""Every command of the README runs, on small inputs of the names it uses; its table is the stored results'."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```console\n(.*?)```", README, re.S) for line in block.strip().splitlines()]
OURS = [line for line in LINES if line.startswith("adept-bench ")]
SMALL = ["--set", "training.tokens=2048", "--set", "data.probe_documents=4", "--set", "data.heldout_documents=4"]


def _run(arguments, folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-m", "adept_bench", *arguments]
    return subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the model and texts that the README's examples name."""
    import json

    from adept_bench.lab import corpora
    from adept_bench.lab.bases import folder as base

    place = tmp_path_factory.mktemp("reader")
    shutil.copytree(base("base", 0), place / "my-model")
    lines = [json.dumps({"text": text}) for text in corpora.texts("medical")[:80]]
    (place / "notes.jsonl").write_text("\n".join(lines), encoding="utf-8")
    sums = [json.dumps({"text": text}) for text in corpora.texts("math")[:80]]
    (place / "sums.jsonl").write_text("\n".join(sums), encoding="utf-8")
    (place / "general.txt").write_text("\n\n".join(corpora.texts("general")[:80]), encoding="utf-8")
    return place


def test_the_readme_has_its_commands():
    assert sum("run --suite medical" in line for line in LINES) == 4
    assert sum("pytest" in line for line in LINES) == 1
    assert len(OURS) == 15


def test_the_commands_on_own_models_run_in_their_order(folder):
    """Later ones take what earlier ones have written."""
    own = [line for line in OURS if "my-model" in line or "adapted" in line]
    assert len(own) == 8
    for line in own:
        arguments = shlex.split(line)[1:]
        if arguments[0] == "run":
            arguments += [*SMALL, "--methods", "vanilla,adept"]
        if arguments[0] == "eval":
            arguments += ["--set", "tasks.limit=8", "--set", "data.heldout_documents=4"]
        if arguments[0] == "adapt":
            arguments += SMALL
        _succeeds(arguments, folder)


@pytest.mark.parametrize("line", [line for line in OURS if "--results results" in line and "my-model" not in line])
def test_the_commands_on_stored_results_run(line, folder):
    arguments = shlex.split(line)[1:]
    arguments[arguments.index("--results") + 1] = str(ROOT / "results")
    if arguments[0] == "figures":
        arguments += ["--only", "retention", "--preset", "lab", "--suite", "medical"]
    _succeeds(arguments, folder)


@pytest.mark.parametrize("line", [line for line in LINES if "qwen3" in line])
def test_the_commands_of_the_papers_scale_run(line, folder):
    """Plans as they stand; what would train runs on the lab, small, with the same options."""
    start, *arguments = shlex.split(line)
    if "plan" in arguments:
        _succeeds(arguments, folder)
        assert "--slurm" not in arguments or (folder / "jobs" / "submit.sh").is_file()
        return
    arguments[arguments.index("--preset") + 1] = "lab"
    small = ["--steps", "2", "--warmup", "1"] if "bench" in arguments else [*SMALL, "--set", "tasks.limit=8"]
    small += ["--methods", "adept"]
    if start == "torchrun":
        arguments[arguments.index("--nproc_per_node") + 1] = "2"
        arguments[arguments.index("--results") + 1] = "paper-two"
        call = [sys.executable, "-m", "torch.distributed.run", *arguments, *small]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert (folder / "paper-two/lab/medical/adept-seed0.json").is_file()
    else:
        _succeeds([*arguments, *small], folder)


def _succeeds(arguments, folder):
    done = _run(arguments, folder)
    assert done.returncode == 0, done.stderr
    output = arguments[arguments.index("--output") + 1] if "--output" in arguments else None
    assert (folder / output).exists() if output else done.stdout


def test_names_in_the_readme_exist():
    import adept_bench

    for name in re.search(r"from adept_bench import ([\w, ]+)", README)[1].split(", "):
        assert callable(getattr(adept_bench, name))
    for path in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / path).exists(), path


def test_what_the_readme_and_the_docs_quote_is_what_the_stored_results_say():
    checked = subprocess.run(
        [sys.executable, "docs/fill.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, f"stale: {checked.stdout}; python docs/fill.py fills them"
