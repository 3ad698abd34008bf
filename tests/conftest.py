"""A tiny base model and two small corpora, for tests of whole commands."""

import itertools
import json
import weakref

import pytest
import torch
from builders import Tiny, qwen3
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from adept_bench.lab import corpora
from adept_bench.lab.tokenizer import build_tokenizer
from adept_bench.progress import Silent, reporter, use


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A random Qwen3 of 4 layers with the lab's tokenizer, as a folder of plain transformers."""
    tokenizer = build_tokenizer()
    model = qwen3(
        vocab_size=len(tokenizer),
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    folder = tmp_path_factory.mktemp("tiny") / "model"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def tiny():
    """A tiny model, random documents and a context that measures the base, for tests of methods and training."""
    return Tiny


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    """(domain file, general file): 60 documents each."""
    folder = tmp_path_factory.mktemp("texts")
    domain, general = folder / "domain.jsonl", folder / "general.txt"
    lines = [json.dumps({"text": text}) for text in corpora.texts("medical")[:60]]
    domain.write_text("\n".join(lines) + "\n", encoding="utf-8")
    general.write_text("\n\n".join(itertools.islice(corpora.texts("general"), 60)), encoding="utf-8")
    return domain, general


class Listening(Silent):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def log():
    """The lines logged during a test."""
    before, listening = reporter(), Listening()
    use(listening)
    yield listening.lines
    use(before)


class LiveBytes(TorchDispatchMode):
    """The most bytes of tensors that were alive at once: every operation's results, until they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.alive, self.peak = 0, 0
        self.known = weakref.WeakSet()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.note(tensor)
        return result

    def note(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self.known:
            return
        self.known.add(storage)
        size = storage.nbytes()
        weakref.finalize(storage, self.freed, size)
        self.alive += size
        self.peak = max(self.peak, self.alive)

    def freed(self, size: int) -> None:
        self.alive -= size


@pytest.fixture
def live_bytes():
    return LiveBytes
