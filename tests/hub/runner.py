"""Runs commands of adept-bench, each in a process of its own that has the libraries imported already.

Read from stdin, a JSON line each: {"arguments": [...], "folder": F, "environment": {...}}. The command's output goes to
F/stdout and F/stderr, its exit code to stdout. What decides where the Hub is (HF_ENDPOINT, HF_HOME) is read at import,
so it is of this process; a fork spares the seconds that importing takes.
"""

import json
import os
import signal
import sys

import datasets  # noqa: F401
import lm_eval.models.huggingface  # noqa: F401
import rich.progress  # noqa: F401
import transformers.models.qwen3.modeling_qwen3
import transformers.trainer  # noqa: F401

import adept_bench.adapt.run
import adept_bench.cli.expand
import adept_bench.config.loading
import adept_bench.evaluation.harness
import adept_bench.models.exporting
import adept_bench.planning.plan
import adept_bench.probing.units
import adept_bench.suite
import adept_bench.suite.trained  # noqa: F401
from adept_bench.__main__ import main

LIMIT = 120  # seconds that a command may take


def run(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    signal.alarm(LIMIT)
    os.chdir(folder)
    os.environ.update(environment)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
    code = main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


for line in sys.stdin:
    child = os.fork()
    if not child:
        run(**json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
