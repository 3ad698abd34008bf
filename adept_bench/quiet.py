"""Libraries that others import wherever they are installed, kept from giving advice."""

from __future__ import annotations

import logging
import os


def hush() -> None:
    """Before accelerate imports DeepSpeed and peft imports bitsandbytes, whether they are wanted or not."""
    import torch

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it advises to install kernels
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed says on stdout that it found no other
