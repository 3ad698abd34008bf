"""How long a document may be for a model."""

from __future__ import annotations

from typing import Any

from torch import nn

from adept_bench.errors import InputError
from adept_bench.progress import reporter


def length_limit(model: Any, asked: int | None, *, longest: int, option: str = "--max-length") -> int:
    """The number of tokens to cut documents to: `asked`, or else the model's context, at most `longest`.

    Beyond its context a model with rotary positions still runs, which is said in a line of the log; one whose
    positions are a learned table cannot, and InputError says so.
    """
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if asked is None:
        return min(context or longest, longest)
    if context and asked > context:
        if _has_position_table(model, context):
            raise InputError(f"{option}: {asked} tokens; this model has positions for {context}")
        reporter().log(f"{option} {asked} is longer than the context of {context} tokens the model was made for")
    return asked


def _has_position_table(model: Any, context: int) -> bool:
    tables = [m for m in model.modules() if isinstance(m, nn.Embedding) and m is not model.get_input_embeddings()]
    return any(context <= table.num_embeddings <= context + 8 for table in tables)  # OPT's table has 2 rows more
