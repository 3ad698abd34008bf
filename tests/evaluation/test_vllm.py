"""Scoring by vLLM, where it is installed: the same answers, item by item, as by transformers."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("scores") / "both.json"
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE.parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "VLLM_CPU_KVCACHE_SPACE": "1"}
    command = [sys.executable, str(HERE / "score_twice.py"), str(out)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(out.read_text(encoding="utf-8"))


@pytest.mark.parametrize("task", ["lab_general", "lab_math_choice", "lab_math_generate"])
def test_every_item_is_answered_alike(found, task):
    by_transformers, by_vllm = (found[backend]["tasks"][task] for backend in ("hf", "vllm"))
    import vllm

    assert by_vllm.pop("details")["vllm"] == vllm.__version__
    by_transformers.pop("details", None)
    assert by_vllm == by_transformers
    assert len(by_vllm["items"]) == 40


def test_the_choices_are_not_all_one(found):
    """Else the comparison would say nothing."""
    items = [answer for task in found["vllm"]["tasks"].values() for answer in task["items"]]
    assert 0 < sum(items) < len(items)
