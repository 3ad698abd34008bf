"""Documents to token ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from adept_bench.corpora.specials import frame_of
from adept_bench.errors import InputError

# documents and characters a call of the tokenizer: its encodings hold far more than the ids (200 to 600 bytes a token)
CHUNK, CHUNK_CHARACTERS = 1000, 1 << 20


def tokenize_documents(
    tokenizer: Any, texts: Iterable[str], *, max_length: int | None, append_eos: bool = False
) -> list[list[int]]:
    """Token ids of each document, as if encoded one by one, cut to `max_length` tokens; never padded.

    The tokenizer adds its own special tokens (a BOS, if it is made so), but none that the document begins or ends with
    itself. `append_eos` ends each document with the end-of-text token, before the cut. A document of fewer than two
    tokens has no next token to predict and is left out.
    Raises InputError when `append_eos` is asked of a tokenizer that has no such token.
    """
    batches = encoded(tokenizer, texts, max_length=max_length, append_eos=append_eos)
    return [ids for batch in batches for ids in batch if len(ids) >= 2]


def encoded(
    tokenizer: Any, texts: Iterable[str], *, max_length: int | None, append_eos: bool = False
) -> Iterator[list[list[int]]]:
    """Token ids of every document, of fewer than two tokens too, otherwise as `tokenize_documents`; in batches.

    Texts are taken from the iterable as they are needed: a batch and its encodings are in memory at a time.
    Raises InputError as `tokenize_documents`.
    """
    end = tokenizer.eos_token_id if append_eos else None
    if append_eos and end is None:
        raise InputError("the tokenizer has no end-of-text token to end documents with")
    frame = frame_of(tokenizer)
    for chunk in _chunks(texts):
        batch = []
        # verbose: no warning that a document is longer than the model's context, since it is cut or packed
        for framed in tokenizer(chunk, padding=False, truncation=False, verbose=False)["input_ids"]:
            ids = frame.once(framed)
            if end is not None and (not ids or ids[-1] != end):
                ids.append(end)
            batch.append(ids if max_length is None else ids[:max_length])
        yield batch


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    characters = 0
    for text in texts:
        chunk.append(text)
        characters += len(text)
        if len(chunk) >= CHUNK or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
