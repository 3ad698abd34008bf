"""Documents to token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adept_bench.errors import InputError

CHUNK = 1000  # documents a call of the tokenizer: keeps its encodings, which hold more than the ids, from piling up


def tokenize_documents(
    tokenizer: Any, texts: Sequence[str], *, max_length: int | None, append_eos: bool = False
) -> list[list[int]]:
    """Token ids of each document, as if encoded one by one, cut to `max_length` tokens; never padded.

    The tokenizer adds its own special tokens (a BOS, if it is made so). `append_eos` ends each document with the
    end-of-text token, before the cut. A document of fewer than two tokens has no next token to predict and is left out.
    Raises InputError when `append_eos` is asked of a tokenizer that has no such token.
    """
    end = tokenizer.eos_token_id if append_eos else None
    if append_eos and end is None:
        raise InputError("the tokenizer has no end-of-text token to end documents with")
    documents = []
    for start in range(0, len(texts), CHUNK):
        chunk = list(texts[start : start + CHUNK])
        # verbose: no warning that a document is longer than the model's context, since it is cut or packed
        for ids in tokenizer(chunk, padding=False, truncation=False, verbose=False)["input_ids"]:
            ended = [*ids, end] if append_eos and (not ids or ids[-1] != end) else ids
            document = list(ended if max_length is None else ended[:max_length])
            if len(document) >= 2:
                documents.append(document)
    return documents
