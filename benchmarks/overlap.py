"""How fast documents are looked through for test items, and how many are found.

    python benchmarks/overlap.py --items GSM8K.jsonl#question,answer --items MEDQA.jsonl#question TEXT.jsonl [...]

Prints, for each text, megabytes a second of UTF-8 and the documents left out, and the memory of the n-grams.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import psutil

from adept_bench.corpora.overlap import ItemNgrams, screened
from adept_bench.corpora.reading import read_corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", help="corpora to look through")
    parser.add_argument("--items", action="append", required=True, help="test items, a corpus each")
    parser.add_argument("--ngram", type=int, default=13)
    parser.add_argument("--repeat", type=int, default=1, help="read each text so often, for steadier times")
    arguments = parser.parse_args()
    items = {Path(source.partition("#")[0]).stem: read_corpus(source).texts for source in arguments.items}
    before, started = psutil.Process().memory_info().rss, time.process_time()
    index = ItemNgrams({name: [[text] for text in texts] for name, texts in items.items()}, arguments.ngram)
    grown = (psutil.Process().memory_info().rss - before) / 2**20
    print(
        f"items {index.counts}, not looked for {index.skipped}: {time.process_time() - started:.1f} s, {grown:.0f} MiB"
    )
    for source in arguments.texts:
        texts = read_corpus(source).texts * arguments.repeat
        size = sum(len(text.encode("utf-8")) for text in texts) / 1e6
        started = time.process_time()
        held = Counter(document.task for document in screened(texts, index) if document.task)
        seconds = time.process_time() - started
        name = Path(source.partition("#")[0]).name
        rate = f"{size:.1f} MB, {size / seconds:.1f} MB/s of one core"
        print(f"{name}: {len(texts)} documents, {rate}; left out {dict(held)}")


if __name__ == "__main__":
    main()
