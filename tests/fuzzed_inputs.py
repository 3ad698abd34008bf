"""Checkpoints and corpora of every kind that people have, whole and damaged, drawn at random."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from families import COMMON, FAMILIES
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizer_kinds import FRAMES, KINDS, build
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

# as good as any here, and some that cannot be expanded
NAMES = ("qwen3", "llama", "llama-tied-biased", "mistral", "gemma2", "phi3", "olmo2", "gpt2", "opt", "mixtral", "mamba")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Checkpoint:
    """A folder of a model and its tokenizer."""

    family: str
    tokenizer: str
    frame: str
    dtype: str
    shards: bool
    rows: int
    """Of the embedding, beyond the tokenizer's words."""
    damage: str

    def write(self, folder: Path) -> Path:
        """The folder, new."""
        tokenizer = build_once(self.tokenizer, self.frame)
        kind, sizes = FAMILIES[self.family]
        sizes = {**COMMON, **sizes, "vocab_size": len(tokenizer) + self.rows}
        ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
        torch.manual_seed(len(self.family) + self.rows)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes, **ids)).to(DTYPES[self.dtype])
        transformers_logging.disable_progress_bar()
        model.save_pretrained(folder, max_shard_size="20KB" if self.shards else "1GB")
        tokenizer.save_pretrained(folder)
        DAMAGES[self.damage](folder)
        return folder


@lru_cache
def build_once(kind: str, frame: str) -> Any:
    """Training a tokenizer takes longer than all the rest."""
    return build(kind, frame)


def _weights(folder: Path) -> Path:
    """The first file of weights."""
    return min(folder.glob("*.safetensors"))


def _changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """The tensors of the first file, changed; an index, where there is one, names them still."""
    path = _weights(folder)
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def _a_matrix(tensors: dict[str, torch.Tensor]) -> str:
    return min(name for name, tensor in tensors.items() if tensor.ndim > 1)


def _without(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[_a_matrix(tensors)]


def _not_finite(tensors: dict[str, torch.Tensor]) -> None:
    tensors[_a_matrix(tensors)].view(-1)[3] = float("nan")


def _narrower(tensors: dict[str, torch.Tensor]) -> None:
    name = _a_matrix(tensors)
    tensors[name] = tensors[name][1:].contiguous()


def _unknown(tensors: dict[str, torch.Tensor]) -> None:
    tensors["memory.of.ours.weight"] = torch.ones(3, 3)


def _cut_off(folder: Path) -> None:
    path = _weights(folder)
    path.write_bytes(path.read_bytes()[:-100])


def _adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2}), encoding="utf-8")


def _stale_index(folder: Path) -> None:
    if not (folder / "model.safetensors.index.json").exists():
        index = {"metadata": {}, "weight_map": {"of.another.model": "model-00001-of-00002.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def _larger_tokenizer(folder: Path) -> None:
    """By more words than any embedding here has rows to spare."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    flags = {"special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    content["added_tokens"] += [{"id": 5000 + one, "content": f"<far{one}>", **flags} for one in range(80)]
    path.write_text(json.dumps(content), encoding="utf-8")


def _no_tokenizer(folder: Path) -> None:
    for path in folder.glob("token*"):
        path.unlink()


def _config_cut_off(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text(encoding="utf-8")[:-20], encoding="utf-8")


def _of_another_depth(folder: Path) -> None:
    """As after somebody cut layers off in the configuration alone."""
    path = folder / "config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    depth = next(key for key in ("num_hidden_layers", "n_layer") if key in content)
    content[depth] += 1
    path.write_text(json.dumps(content), encoding="utf-8")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "none": lambda folder: None,
    "unknown tensor": lambda folder: _changed(folder, _unknown),
    "missing tensor": lambda folder: _changed(folder, _without),
    "not finite": lambda folder: _changed(folder, _not_finite),
    "wrong shape": lambda folder: _changed(folder, _narrower),
    "cut off": _cut_off,
    "adapter beside": _adapter,
    "stale index": _stale_index,
    "larger tokenizer": _larger_tokenizer,
    "no tokenizer": _no_tokenizer,
    "configuration cut off": _config_cut_off,
    "another depth": _of_another_depth,
}
HARMLESS = ("none", "unknown tensor", "stale index")
"""After which a number may be told, if it is the right one; the others are refused."""


@dataclass(frozen=True)
class Corpus:
    """A file of texts."""

    texts: tuple[str, ...]
    form: str
    encoding: str
    newline: str
    damage: str

    @property
    def readable(self) -> bool:
        """Whether it is a file as docs/corpora.md describes them."""
        return self.damage == "none" and (self.form == "parquet" or self.encoding in ("utf-8", "utf-8-sig"))

    def write(self, folder: Path) -> Path:
        """The file, new."""
        path = folder / f"corpus.{self.form}"
        content = self._content()
        if self.damage == "cut off":
            content = content[: len(content) * 2 // 3]
        path.write_bytes(content)
        return path

    def _content(self) -> bytes:
        if self.form == "parquet":
            out = pa.BufferOutputStream()
            pq.write_table(pa.table({"text": list(self.texts)}), out)
            return bytes(out.getvalue())
        if self.form == "json":
            text = json.dumps(list(self.texts), ensure_ascii=False, indent=1)
        elif self.form == "txt":
            text = "\n\n".join(self.texts) + "\n"
        else:
            text = "".join(json.dumps({"text": one}, ensure_ascii=False) + "\n" for one in self.texts)
        data = text.replace("\n", self.newline).encode(self.encoding, errors="replace")
        return gzip.compress(data) if self.form.endswith(".gz") else data


WORDS = (
    "the heart",
    "blood,",
    "Kidneys",
    "filter",
    "zucker",
    "größe",
    "心臓",
    "fever:",
    "</s>",
    "<s>",
    "<pad>",
    "\u2028",
    "7.5",
)


def texts() -> st.SearchStrategy[tuple[str, ...]]:
    """One to four, of few words, some of them special tokens, of none or of white space."""
    words = st.lists(st.sampled_from(WORDS), min_size=0, max_size=9).map(" ".join)
    return st.lists(words, min_size=1, max_size=4).map(tuple)


def checkpoints(damages: Sequence[str]) -> st.SearchStrategy[Checkpoint]:
    """Of every family, tokenizer and way to store."""
    return st.builds(
        Checkpoint,
        family=st.sampled_from(NAMES),
        tokenizer=st.sampled_from(KINDS),
        frame=st.sampled_from(tuple(FRAMES)),
        dtype=st.sampled_from(tuple(DTYPES)),
        shards=st.booleans(),
        rows=st.sampled_from((0, 0, 5, 64)),
        damage=st.sampled_from(tuple(damages)),
    )


def corpora() -> st.SearchStrategy[Corpus]:
    """In every format, encoding and kind of line end."""
    return st.builds(
        Corpus,
        texts=texts(),
        form=st.sampled_from(("jsonl", "json", "txt", "jsonl.gz", "parquet")),
        encoding=st.sampled_from(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")),
        newline=st.sampled_from(("\n", "\r\n")),
        damage=st.sampled_from(("none", "none", "none", "cut off")),
    )


def fresh(folder: Path) -> Path:
    """The folder, emptied."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
