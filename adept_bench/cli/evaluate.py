"""`adept-bench eval`: a suite's evaluation of any model, without training."""

from __future__ import annotations

from typing import Annotated

import typer

from adept_bench.cli.options import (
    BackendOption,
    Debug,
    FewshotOption,
    ForceOption,
    ModelOption,
    OutputOption,
    PresetOption,
    Quiet,
    SetOption,
    SuiteOption,
    check_fewshot,
    check_output,
    task_settings,
    write_json_result,
)
from adept_bench.config.names import LARGEST_SEED
from adept_bench.outputs import EVALUATION


def eval_command(
    model: ModelOption,
    suite: SuiteOption,
    preset: PresetOption = None,
    output: OutputOption = None,
    force: ForceOption = False,
    settings: SetOption = None,
    backend: BackendOption = None,
    fewshot: FewshotOption = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Which of the lab's base models lab:base is.")
    ] = 0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Evaluate a model on a suite: its tasks and its held-out losses, as JSON."""
    target = check_output(output, EVALUATION, force, [model, suite, *filter(None, [preset])])
    overrides = [*(settings or ()), *task_settings(backend, fewshot)]
    from adept_bench.config.loading import resolve

    # the model may be one that was adapted from the preset's own: its tasks are asked whatever its name
    config = resolve(suite, preset, model=model, overrides=overrides, keep_tasks=True)
    check_fewshot(fewshot, config.tasks.tested, config.suite)

    from adept_bench.suite import evaluate_model

    write_json_result(evaluate_model(config, seed=seed), target)
