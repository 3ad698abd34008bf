"""Libraries that others import wherever they are installed, kept from giving advice."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager


def hush() -> None:
    """Before accelerate imports DeepSpeed and peft imports bitsandbytes, whether they are wanted or not."""
    import torch

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it advises to install kernels
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed says on stdout that it found no other


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without transformers' own bars and load reports: ours says what is going on."""
    from transformers.utils import logging

    hush()
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Without the bars of `datasets`, which know neither --quiet nor that stderr is a file."""
    import datasets

    bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if bars:
            datasets.enable_progress_bars()
