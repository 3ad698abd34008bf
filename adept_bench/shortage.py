"""Out of memory, answered with the setting to change."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

TRAINING = (
    "lower training.batch_size and raise training.accumulation by the same factor (the same tokens a step), or set "
    "training.gradient_checkpointing=true, or training.optimizer=adamw-8bit; `adept-bench plan` says what fits"
)
LAYER_PROBE = "lower probe.batch_size (the importances do not depend on it)"
UNIT_PROBE = "lower probe.unit_batch_size (importances are a mean over batches and change with it)"
EVALUATION = "lower tasks.batch_size, and probe.batch_size for the held-out losses (no number depends on them)"

LOADING = "load it in fewer bytes (model.dtype or --dtype bfloat16), or where there is more memory"

# what allocators and libraries say where torch has no error class of its own for it
_SIGNS = (
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator",
    "not enough memory",
)


class OutOfMemory(RuntimeError):
    """There was too little memory; the message names what to change. The cell fails, other cells go on."""


def is_shortage(error: BaseException) -> bool:
    """Whether the error says that memory ran out, of an accelerator or of the machine."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def shortage(what: str, advice: str, error: BaseException) -> OutOfMemory:
    """The error that answers `error`, a shortage of memory in `what`, with an advice."""
    return OutOfMemory(f"{what} ran out of memory ({_why(error)}); {advice}")


def advised(what: str, advice: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A function whose shortage of memory becomes OutOfMemory: "`what` ran out of memory (why); `advice`"."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return function(*args, **kwargs)
            except OutOfMemory:
                raise
            except Exception as error:
                if not is_shortage(error):
                    raise
                raise shortage(what, advice, error) from error

        return wrapped

    return decorate


def _why(error: BaseException) -> str:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return first.partition(" If reserved but unallocated")[0].rstrip(".")[:200]
