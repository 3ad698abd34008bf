"""Whether a tokenizer can be used with its model: said before any text is read, and not by an index error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adept_bench.errors import InputError

_SHOWN = 6  # ids that a message names
_CONFIGURED = ("bos", "eos", "pad")
_SPECIAL = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


def refuse_ids_beyond(tokenizer: Any, rows: int, source: object, option: str) -> None:
    """Raise InputError, naming ids and tokens, where the tokenizer has ids from `rows`, the embedding's size, on.

    All that it can give are looked at: its vocabulary, added tokens among it, and its special tokens' ids.
    """
    ids = {number: token for token, number in tokenizer.get_vocab().items() if number >= rows}
    for name in _SPECIAL:
        number = getattr(tokenizer, f"{name}_token_id", None)
        if isinstance(number, int) and number >= rows:
            ids[number] = str(getattr(tokenizer, f"{name}_token"))
    if ids:
        first = ", ".join(f"{number} ({ids[number]!r})" for number in sorted(ids)[:_SHOWN])
        more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
        raise InputError(
            f"{option}: the tokenizer of {source} has ids that the model has no embedding for (vocab_size {rows}): "
            f"{first}{more}; expected a tokenizer without them, or model.resize_token_embeddings({max(ids) + 1})"
        )


def refuse_special_beyond(
    config: Any, rows: int, file: str, source: object, option: str, usual: Mapping[str, Any]
) -> None:
    """Raise InputError, naming `file` and the ids, where a configuration or generation configuration has the model
    begin, end or pad with ids from `rows`, the embedding's size, on.

    usual: by attribute what the family has where nobody says otherwise. It passes: models with a vocabulary of their
    own keep it (GPT-2's 50256) without ever using it.
    """
    beyond = []
    for name in (f"{kind}_token_id" for kind in _CONFIGURED):
        value = getattr(config, name, None)
        ids = [] if value == usual.get(name) else value if isinstance(value, list) else [value]
        beyond += [f"{name} {number}" for number in ids if isinstance(number, int) and number >= rows]
    if beyond:
        raise InputError(
            f"{option}: {file} of {source} names special tokens that the model has no embedding for "
            f"(vocab_size {rows}): {', '.join(beyond[:_SHOWN])}; expected ids below {rows}"
        )


def refuse_unusable(tokenizer: Any, source: object, option: str) -> None:
    """Raise InputError where the tokenizer has no tokens, or cannot turn text into ids and ids into text."""
    try:
        tokenizer.decode(tokenizer("a 1").input_ids)
        empty = not tokenizer.get_vocab()
    except Exception as error:  # tokenizers and a family's own code raise anything
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{option}: the tokenizer of {source} cannot read text: {said}") from error
    if empty:
        raise InputError(f"{option}: the tokenizer of {source} has no tokens; expected a whole tokenizer.json")
