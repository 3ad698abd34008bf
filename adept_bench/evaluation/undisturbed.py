"""Evaluation in the middle of anything: modes, generators, tokenizer settings and other libraries' output as before."""

from __future__ import annotations

import functools
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch

from adept_bench.probing.undisturbed import undisturbed


@contextmanager
def restored(model: torch.nn.Module, tokenizer: Any) -> Iterator[None]:
    """Restore each module's train or eval mode, all generators' states, and the tokenizer's padding on leaving."""
    python, numpy = random.getstate(), np.random.get_state()
    side, pad = tokenizer.padding_side, tokenizer.pad_token
    try:
        with undisturbed(model):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        tokenizer.padding_side = side
        if tokenizer.pad_token != pad:
            tokenizer.pad_token = pad


@contextmanager
def quiet() -> Iterator[None]:
    """No bars and no warnings of lm-eval, datasets and transformers: evaluation shows its own progress."""
    import datasets
    import lm_eval.api.task

    loggers = [logging.getLogger(name) for name in ("lm_eval", "transformers", "datasets")]
    levels = [logger.level for logger in loggers]
    bars = not datasets.are_progress_bars_disabled()
    # building the requests is the one bar of lm-eval that no argument turns off
    silent = functools.partial(lm_eval.api.task.tqdm, disable=True)
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        datasets.disable_progress_bars()
        with mock.patch.object(lm_eval.api.task, "tqdm", silent):
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
        if bars:
            datasets.enable_progress_bars()
