"""Probe documents as the released code pads them: the padding is predicted, and counts in the loss.

Its two measurements pad differently. calc_importance.py (layers) takes the end-of-text token for padding and fills
every text to the maximum length; the training callbacks (units) take the tokenizer's padding token and fill to the
longest text. In both the labels are the padded ids, while the attention mask keeps the padding from being looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from adept_bench.errors import InputError

PADDING = ("ignored", "counted")
Kind = Literal["layers", "units"]


class Padded(list[int]):
    """A document's token ids and the padding after them; only the first `attended` are looked at by attention."""

    def __init__(self, document: Sequence[int], length: int, token: int) -> None:
        super().__init__([*document, *[token] * (length - len(document))])
        self.attended = len(document)


def as_released(documents: Sequence[Sequence[int]], kind: Kind, tokenizer: Any, max_length: int) -> list[Sequence[int]]:
    """The documents, none longer than `max_length` tokens, padded as the released measurement of `kind` does.

    Raises InputError where the tokenizer has no token for it.
    """
    end = tokenizer.eos_token_id
    token = end if kind == "layers" or tokenizer.pad_token_id is None else tokenizer.pad_token_id
    if token is None:
        raise InputError(
            "padding counted: the tokenizer has no end-of-text token to pad with; expected one, or ignored"
        )
    length = max_length if kind == "layers" else max(map(len, documents), default=0)
    return [Padded(document, length, token) for document in documents]
