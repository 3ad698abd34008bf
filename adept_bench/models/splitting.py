"""How a byte-level tokenizer of a GGUF file splits text before its merges apply.

A GGUF file names the rule (`tokenizer.ggml.pre`) and does not hold it. transformers' reader has a table of rules and
takes GPT-2's for every name that is not in it, which gives other tokens than the model was trained on: of the two line
ends in "1\\n\\n2" SmolLM's rule makes one token, GPT-2's makes two.
"""

from __future__ import annotations

from typing import Any

from adept_bench.errors import InputError

# the names are llama.cpp's, in the groups that its tokenizer treats alike
_AS_GPT2 = {"gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4"}
_DIGITS_APART = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}


def split_as_trained(tokenizer: Any, facts: dict[str, Any], file: object, option: str) -> None:
    """Give `tokenizer`, read from a GGUF file with these `facts`, the rule that the file names.

    Raises InputError, naming `option`, for a rule that neither the reader nor this module knows.
    """
    if facts.get("tokenizer.ggml.model") != "gpt2":
        return  # sentencepiece, unigram: nothing is split before
    rule = str(facts.get("tokenizer.ggml.pre", "missing"))
    if rule in _AS_GPT2 or rule in _of_the_reader():
        return
    if rule not in _DIGITS_APART:
        known = ", ".join(sorted(_AS_GPT2 | _DIGITS_APART | _of_the_reader()))
        raise InputError(
            f"{option}: {file}: its tokenizer splits text by the rule {rule!r}, which is not known here: its "
            f"tokens would be wrong; expected one of: {known}"
        )
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
        ]
    )


def _of_the_reader() -> set[str]:
    try:
        from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
    except ImportError:  # another version keeps it elsewhere
        return set()
    return set(GGUF_PRE_TOKENIZER_SPLITS)
