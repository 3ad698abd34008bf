"""Tokenizers of every kind, trained on a few sentences, with every kind of special tokens around a text."""

from __future__ import annotations

from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXT = [
    "Question: which organ pumps the blood? Answer: the heart. Question: what do kidneys filter? Answer: blood, water.",
    "Question: how many chambers has a heart? Answer: four chambers. The lung breathes; the liver stores sugar.",
    "Fever, cough, headache are symptoms: aspirin lowers a fever.\n\nInsulin lowers sugar.\nAntibiotics kill bacteria.",
] * 3
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
FRAMES = {"none": None, "bos": "<s> $A", "eos": "$A </s>", "both": "<s> $A </s>"}
KINDS = ("byte-level", "joining", "unigram", "wordpiece", "characters")


def build(kind: str, frame: str) -> PreTrainedTokenizerFast:
    """A tokenizer of `KINDS` that puts around a text what `FRAMES` says; "joining" has tokens across white space."""
    backend = {
        "byte-level": _byte_level,
        "joining": _joining,
        "unigram": _unigram,
        "wordpiece": _wordpiece,
        "characters": _characters,
    }[kind]()
    if FRAMES[frame]:
        ids = [(token, backend.token_to_id(token)) for token in ("<s>", "</s>")]
        around = processors.TemplateProcessing(single=FRAMES[frame], special_tokens=ids)
        backend.post_processor = around
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token=None if kind in ("byte-level", "joining") else "<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        clean_up_tokenization_spaces=False,
    )


def _trained(backend: Tokenizer, trainer: Any) -> Tokenizer:
    backend.train_from_iterator(TEXT, trainer)
    return backend


def _byte_level() -> Tokenizer:
    """As GPT-2's and Qwen's: bytes, a word with the space before it, no normalizer."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    return _trained(backend, trainer)


def _joining() -> Tokenizer:
    """As Llama 3's and Qwen's pattern, under which signs and the line breaks behind them are one piece (":\\n")."""
    backend = Tokenizer(models.BPE())
    pattern = Regex(r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(pattern, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator([*TEXT, "Answer:\nthe heart. Answer:\nblood. Answer:\nfour."] * 3, trainer)
    return backend


def _unigram() -> Tokenizer:
    """As SentencePiece's: a space before the first word, and special tokens among the model's own pieces."""
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    return _trained(backend, trainer)


def _wordpiece() -> Tokenizer:
    """As BERT's: small letters, white space lost, pieces of words."""
    backend = Tokenizer(models.WordPiece(unk_token="<unk>"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(cleanup=False)
    return _trained(backend, trainers.WordPieceTrainer(vocab_size=160, special_tokens=SPECIAL, show_progress=False))


def _characters() -> Tokenizer:
    """A BPE of characters in which unknown ones that stand together are one unknown token."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    backend.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_next")
    return _trained(backend, trainers.BpeTrainer(vocab_size=120, special_tokens=SPECIAL, show_progress=False))
