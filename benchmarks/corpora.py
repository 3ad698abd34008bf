"""A large corpus: rates of reading, tokenising and packing, and peak memory above that of a small corpus.

    python benchmarks/corpora.py                        # 256 MB of .jsonl, the lab's tokenizer
    python benchmarks/corpora.py --megabytes 4096 --tokenizer Qwen/Qwen3-0.6B --format parquet

Everything is written below --folder (a temporary folder unless named) and removed at the end. The corpus is the lab's
general text, repeated in pieces of one to fifty documents with a number in front, so that no two are the same. Memory
is the peak of the resident set in the step (Linux), mapped pages of the token files included, above what is resident
before it; a corpus of 4 MB goes through all steps first, so that libraries are loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

MEGABYTE = 10**6


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--format", choices=["jsonl", "txt", "parquet", "jsonl.gz"], default="jsonl")
    parser.add_argument("--tokenizer", help="local folder or Hub id instead of the lab's")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--length", type=int, default=1024, help="tokens of a packed sequence")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def texts(size: int) -> Iterator[str]:
    """Documents of about `size` bytes together."""
    from adept_bench.lab import corpora

    pieces, rng, number = corpora.texts("general"), random.Random(0), 0
    while size > 0:
        number += 1
        text = f"{number} " + " ".join(rng.choices(pieces, k=rng.randint(1, 50))).replace("\n", " ")
        size -= len(text)
        yield text


def write(path: Path, kind: str, size: int) -> Path:
    path = path.with_name(f"{path.name}.{kind}")
    if kind == "parquet":
        import pyarrow
        import pyarrow.parquet

        schema = pyarrow.schema([("text", pyarrow.string())])
        with pyarrow.parquet.ParquetWriter(path, schema) as writer:
            writer.write_table(pyarrow.table({"text": list(texts(size))}, schema=schema), row_group_size=100_000)
        return path
    if kind == "jsonl.gz":
        import gzip

        handle: Any = gzip.open(path, "wt", encoding="utf-8", compresslevel=1)  # noqa: SIM115 - closed below
    else:
        handle = open(path, "w", encoding="utf-8")  # noqa: SIM115 - closed below
    with handle:
        for text in texts(size):
            handle.write(f"{text}\n\n" if kind == "txt" else json.dumps({"text": text}) + "\n")
    return path


def resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


def measure(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Seconds and peak bytes above what was resident before, and the result."""
    before = resident("VmRSS:")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    start = time.perf_counter()
    result = work()
    return {"seconds": time.perf_counter() - start, "peak_bytes": max(0, resident("VmHWM:") - before)}, result


def steps(path: Path, tokenizer: Any, length: int) -> dict[str, dict[str, float]]:
    """Each step with its seconds, peak memory and, where it has one, amount."""
    from adept_bench.corpora.large import open_corpus
    from adept_bench.corpora.packing import PackedDataset
    from adept_bench.corpora.sources import find_source

    found: dict[str, dict[str, float]] = {}
    source = find_source(str(path), option="--corpus")
    found["read"], count = measure(lambda: sum(1 for _ in source.texts()))
    opened = partial(open_corpus, str(path), load_tokenizer=lambda: tokenizer, in_memory=0)
    found["tokenise"], text = measure(opened)
    found["open again"], text = measure(opened)
    train, _ = text.split(fraction=0.05, minimum=8, maximum=300)
    found["split"], store = measure(lambda: train.tokens(tokenizer))
    items = min(2000, store.total // length)
    dataset = PackedDataset(store, length=length, total=items, seed=0)
    found["pack"], _ = measure(lambda: sum(len(dataset[index]["labels"]) for index in range(items)))
    found["read"]["documents"], found["tokenise"]["tokens"], found["pack"]["tokens"] = (
        count,
        store.total,
        items * length,
    )
    return found


def main() -> None:
    chosen = options()
    from adept_bench.lab.tokenizer import build_tokenizer
    from adept_bench.models.checkpoints import load_tokenizer

    tokenizer = load_tokenizer(chosen.tokenizer) if chosen.tokenizer else build_tokenizer()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        os.environ["ADEPT_BENCH_CACHE"] = folder
        steps(write(Path(folder) / "small", chosen.format, 4 * MEGABYTE), tokenizer, chosen.length)
        path = write(Path(folder) / "large", chosen.format, chosen.megabytes * MEGABYTE)
        size = path.stat().st_size
        found = steps(path, tokenizer, chosen.length)
    if chosen.json:
        print(json.dumps({"bytes": size, "format": chosen.format, "steps": found}))
        return
    print(f"{size / MEGABYTE:.0f} MB of .{chosen.format}, {found['read']['documents']} documents")
    for name, step in found.items():
        tokens = f"  {step['tokens'] / step['seconds'] / 1e6:.2f} M tokens/s" if "tokens" in step else ""
        rate = f"  {size / MEGABYTE / step['seconds']:.0f} MB/s" if name in ("read", "tokenise") else ""
        print(f"{name:12}{step['seconds']:8.2f} s  peak +{step['peak_bytes'] / MEGABYTE:.0f} MB{rate}{tokens}")


if __name__ == "__main__":
    main()
