"""Large corpora in processes of their own: memory stays bounded, two builders make one store, a killed one none."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

WORDS = [f"{letter}{'long' * 60}" for letter in "abcdefgh"]  # long words: many bytes of text for few tokens
MEGABYTE = 1 << 20

CHILD = """
import os, sys
from transformers import AutoTokenizer
from adept_bench.corpora.large import LargeText, open_corpus
from adept_bench.corpora.packing import PackedDataset
from adept_bench.corpora.sources import find_source
from adept_bench.progress import Plain, use
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
def opened(source, **options):
    return open_corpus(source, in_memory=1 << 20, load_tokenizer=lambda: tokenizer, **options)
def status(field):
    return int(next(line for line in open("/proc/self/status") if line.startswith(field)).split()[1]) * 1024
def peak_of(work):
    before = status("VmRSS:")
    open("/proc/self/clear_refs", "w").write("5")  # forget the peak so far
    result = work()
    return status("VmHWM:") - before, result
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    vocabulary = {word: number for number, word in enumerate(["<unk>", "<eos>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>")
    wrapped.save_pretrained(folder / "tokenizer")
    return folder


def document(number: int) -> str:
    return f"{number} " + " ".join(WORDS[(number * step) % 8] for step in range(1, 9))


def start(place: Path, cache: Path, code: str, *arguments: object) -> subprocess.Popen[str]:
    environment = os.environ | {"ADEPT_BENCH_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CHILD + code, str(place / "tokenizer"), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(child: subprocess.Popen[str]) -> tuple[dict, str]:
    out, errors = child.communicate(timeout=600)
    assert child.returncode == 0, errors
    return json.loads(out.splitlines()[-1]), errors


READ = """
import json
warm, *paths = sys.argv[2:]
for path in paths:  # libraries load
    next(find_source(path, option="").texts())
peaks = {}
for path in paths:
    peaks[path.split("/")[-1]], count = peak_of(lambda: sum(1 for _ in find_source(path, option="").texts()))
    assert count == int(warm), (path, count)
print(json.dumps(peaks))
"""

TRAIN = """
import json
small, large = sys.argv[2:]
def work(source):
    text = opened(source, append_eos=True)
    assert isinstance(text, LargeText)
    train, held = text.split(fraction=0.05, minimum=8, maximum=300)
    sample = train.sample(64)
    store = train.tokens(tokenizer)
    dataset = PackedDataset(store, length=256, total=100_000, seed=0)
    for index in range(0, 100_000, 500):
        dataset[index]
    return len(held.texts), len(sample.texts), len(store), store.total
work(small)
growth, facts = peak_of(lambda: work(large))
print(json.dumps([growth, *facts]))
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak of memory is read from /proc")
def test_memory_is_bounded(place: Path, tmp_path: Path) -> None:
    count = 36_000
    texts = [document(number) for number in range(count)]
    rows = [json.dumps({"text": text}) + "\n" for text in texts]
    (tmp_path / "small.jsonl").write_text("".join(rows[:800]))
    (tmp_path / "a.jsonl").write_text("".join(rows))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("".join(rows).encode(), 1))
    (tmp_path / "a.txt").write_text("\n\n".join(texts))
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), tmp_path / "a.parquet", row_group_size=count)
    size = (tmp_path / "a.jsonl").stat().st_size
    assert size > 64 * MEGABYTE
    names = ["a.jsonl", "a.jsonl.gz", "a.txt", "a.parquet"]
    peaks, _ = finish(start(place, tmp_path, READ, count, *(tmp_path / name for name in names)))
    assert max(peaks.values()) < 20 * MEGABYTE, peaks
    (growth, held, sample, kept, tokens), _ = finish(
        start(place, tmp_path, TRAIN, tmp_path / "small.jsonl", tmp_path / "a.jsonl")
    )
    assert (held, sample, kept, tokens) == (300, 64, count - 300, (count - 300) * 10)
    assert growth < 20 * MEGABYTE


BUILD = """
import hashlib, json
use(Plain())
print("ready", flush=True)
sys.stdin.readline() if sys.argv[3] == "wait" else None
store = opened(sys.argv[2]).tokens(tokenizer)
digest = hashlib.sha256()
for ids in store:
    digest.update(ids.tobytes() + b"|")
print(json.dumps([len(store), store.total, digest.hexdigest()]))
"""


def left(cache: Path) -> list[str]:
    return sorted(path.name.split("-")[1] for path in (cache / "corpora").iterdir() if path.is_dir())


def test_two_builders_make_one_store(place: Path, tmp_path: Path) -> None:
    corpus, cache = tmp_path / "a.jsonl", tmp_path / "cache"
    corpus.write_text("".join(json.dumps({"text": document(number)}) + "\n" for number in range(6000)))
    both = [start(place, cache, BUILD, corpus, "") for _ in range(2)]
    (one, said), (other, said_too) = [finish(child) for child in both]
    assert one == other
    assert one[:2] == [6000, 6000 * 10]
    assert (said + said_too).count("6000 documents, 60000 tokens, kept in") == 1
    assert left(cache) == ["scan", "tokens"]


def test_a_killed_builder_leaves_nothing_that_is_used(place: Path, tmp_path: Path) -> None:
    corpus, cache = tmp_path / "a.jsonl", tmp_path / "cache"
    corpus.write_text("".join(json.dumps({"text": document(number)}) + "\n" for number in range(12_000)))
    child = start(place, cache, BUILD, corpus, "")
    while not any(path.stat().st_size for path in cache.glob("corpora/.*.tmp/tokens.bin")):
        assert child.poll() is None
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert left(cache) != ["scan", "tokens"]
    assert len(list(cache.glob("corpora/.*.tmp"))) == 2
    result, said = finish(start(place, cache, BUILD, corpus, ""))
    assert result[:2] == [12_000, 12_000 * 10]
    assert "12000 documents" in said
    assert left(cache) == ["scan", "tokens"]
    assert not list(cache.glob("corpora/.*.tmp"))
