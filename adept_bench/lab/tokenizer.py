"""The lab's tokenizer: one piece a word of the world, bytes for everything else, so that any text can be encoded.

The vocabulary is written down, not trained: the words of the sentence patterns, every attribute value, the numbers up
to 120, and the onsets and codas of names (a name is two pieces). A unigram model whose longer pieces score higher
picks them; what no piece covers falls back to bytes.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from adept_bench.lab import arithmetic
from adept_bench.lab.words import (
    CODAS,
    GENERAL,
    MEDICAL,
    ONSETS,
    QUESTION,
    STORY_ENDINGS,
    STORY_MIDDLES,
    STORY_OPENINGS,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, END = "<pad>", "<eos>"
LARGEST_NUMBER = 120
_SPACE = "\u2581"  # how a unigram piece shows the space before it
_OTHER_WORDS = "Count: Words for Steps: Answer: Problem:"


def _words(texts: list[str]) -> list[str]:
    """The words of sentence patterns, placeholders left out, in order of first appearance."""
    plain = re.sub(r"\{\w+\}", " ", " ".join(texts))
    return list(dict.fromkeys(re.findall(r"[A-Za-z]+", plain)))


@cache
def pieces() -> tuple[str, ...]:
    """The pieces of the vocabulary apart from special tokens and bytes, in id order."""
    attributes = [a for kind in (*GENERAL, *MEDICAL) for a in kind.attributes]
    texts = [p for a in attributes for p in (a.name, *a.patterns)]
    texts += [QUESTION, *STORY_OPENINGS, *STORY_MIDDLES, *STORY_ENDINGS, *arithmetic.sentences(), _OTHER_WORDS]
    words = _words(texts) + [value for a in attributes for value in a.values]
    numbers = [str(number) for number in range(LARGEST_NUMBER + 1)]
    found = [_SPACE + word for word in words + numbers]
    found += [_SPACE + onset for onset in ONSETS] + list(CODAS)
    found += [_SPACE, "\n", *".,:;?!'\"()-+*=/", *(f"{_SPACE}{sign}" for sign in "+-*=")]
    found += [chr(code) for code in (*range(ord("a"), ord("z") + 1), *range(ord("A"), ord("Z") + 1))]
    found += [str(digit) for digit in range(10)]
    return tuple(dict.fromkeys(found))


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer, as any Hub tokenizer: saves to tokenizer.json, loads with `AutoTokenizer`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    # the score falls with the number of pieces, not with their length: fewest pieces win
    vocabulary = [(piece, 0.0) for piece in (PAD, END)]
    vocabulary += [(piece, -20.0) for piece in byte_pieces]
    vocabulary += [(piece, -10.0 - 0.001 / len(piece)) for piece in pieces()]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=len(byte_pieces) + 1, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="first", split=True)
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(replacement=_SPACE, prepend_scheme="first"), decoders.Fuse()]
    )
    tokenizer.add_special_tokens([PAD, END])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, model_max_length=512)
