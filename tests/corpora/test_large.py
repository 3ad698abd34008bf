"""A large corpus in files against the same corpus in memory: the same tokens, the same split, the same sequences."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from adept_bench.corpora import scanning
from adept_bench.corpora.large import LargeText, SmallText, open_corpus
from adept_bench.corpora.packing import PackedDataset
from adept_bench.corpora.reading import corpus_of, read_corpus, split_held_out
from adept_bench.corpora.store import MemoryDocuments, TokenStore, TokenWriter
from adept_bench.corpora.tokens import tokenize_documents
from adept_bench.errors import InputError
from adept_bench.files import cache_root

WORDS = "abcdefgh"
WHOLE = {"fraction": 0.2, "minimum": 2, "maximum": 6}


def word_tokenizer(words: str = WORDS, size: int = 0) -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate(["<unk>", "<eos>", *words])}
    vocabulary |= {f"w{number}": number for number in range(len(vocabulary), size)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>", pad_token="<eos>")


TOKENIZER = word_tokenizer()
texts_of_words = st.lists(st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join), min_size=2, max_size=40).filter(
    lambda texts: len({text for text in texts if text}) >= 2
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADEPT_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(path: Path, texts: list[str]) -> str:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return str(path)


def large(source: str, **options: object) -> LargeText:
    found = open_corpus(source, in_memory=0, **options)
    assert isinstance(found, LargeText)
    return found


def ids(documents: object) -> list[list[int]]:
    return [document.tolist() for document in documents]  # type: ignore[attr-defined]


def sequences(dataset: PackedDataset) -> list[list[int]]:
    return [dataset[index]["input_ids"].tolist() for index in range(len(dataset))]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=texts_of_words, fraction=st.floats(0, 1), maximum=st.integers(1, 9), eos=st.booleans(), data=st.data())
def test_files_equal_memory(
    tmp_path: Path, texts: list[str], fraction: float, maximum: int, eos: bool, data: st.DataObject
) -> None:
    source = write(tmp_path / "corpus.jsonl", texts)
    load = (lambda: TOKENIZER) if data.draw(st.booleans()) else None
    length = data.draw(st.sampled_from([None, 1, 3]))
    options = {"max_length": length, "append_eos": eos}
    big = large(source, load_tokenizer=load, **options)
    corpus = read_corpus(source)
    assert big.describe() == corpus.describe()
    assert ids(big.tokens(TOKENIZER, **options)) == tokenize_documents(TOKENIZER, corpus.texts, **options)

    split = {"fraction": fraction, "minimum": 1, "maximum": maximum}
    train, held = split_held_out(corpus, **split)
    big_train, big_held = big.split(**split)
    assert big_held == held
    expected = {**train.describe(), "hash": big_train.hash}
    assert big_train.describe() == expected
    tokens = tokenize_documents(TOKENIZER, train.texts, **options)
    store = big_train.tokens(TOKENIZER, **options)
    assert ids(store) == tokens
    assert ids(pickle.loads(pickle.dumps(store))) == tokens
    small_train, small_held = SmallText(corpus).split(**split)
    assert small_held == held
    assert ids(small_train.tokens(TOKENIZER, **options)) == tokens
    if tokens:
        packing = {"length": data.draw(st.integers(2, 9)), "total": 30, "seed": data.draw(st.integers(0, 3))}
        mixed = {"general": [[100, 101], [102]], "replay_share": 0.3}
        assert sequences(PackedDataset(store, **packing)) == sequences(PackedDataset(tokens, **packing))
        replayed = PackedDataset([[100, 101], [102]], **packing, general=store, replay_share=0.3)
        plain = PackedDataset([[100, 101], [102]], **packing, general=tokens, replay_share=0.3)
        assert sequences(replayed) == sequences(plain)
        assert replayed.describe() == plain.describe()
        assert sequences(PackedDataset(store, **packing, **mixed)) == sequences(
            PackedDataset(tokens, **packing, **mixed)
        )

    sample = big_train.sample(3)
    distinct = list(dict.fromkeys(train.texts))
    assert len(sample.texts) == min(3, len(distinct))
    assert [text for text in distinct if text in sample.texts] == sample.texts
    assert big_train.sample(1000).texts == distinct


def plain_blocks(documents: list[list[int]], orders: list[list[int]], length: int) -> list[list[int]]:
    stream = [token for order in orders for index in order for token in documents[index]]
    return [stream[start : start + length] for start in range(0, len(stream) - length + 1, length)]


def test_sequences_of_the_first_release(tmp_path: Path) -> None:
    """The order is numpy's permutation of (seed, corpus, epoch), as when the stored results were made."""
    rng = np.random.default_rng(5)
    documents = [rng.integers(0, 50_000, size).tolist() for size in rng.integers(1, 40, 300)]
    orders = [np.random.default_rng((3, 0, epoch)).permutation(300).tolist() for epoch in range(3)]
    expected = plain_blocks(documents, orders, 33)
    writer = TokenWriter(tmp_path, word_tokenizer())
    writer.add(documents[:100])
    writer.add([])
    writer.add(documents[100:])
    writer.finish({})
    for form in (documents, MemoryDocuments(documents), TokenStore(tmp_path)):
        assert sequences(PackedDataset(form, length=33, total=len(expected), seed=3)) == expected


def test_a_store_is_a_sequence(tmp_path: Path) -> None:
    documents = [[1, 2], [], [3], [4, 5, 6], [7]]
    writer = TokenWriter(tmp_path, TOKENIZER)
    writer.add(documents)
    writer.finish({})
    store = TokenStore(tmp_path)
    assert (len(store), store.total, ids(store), ids(store[1:4])) == (5, 7, documents, documents[1:4])
    assert store[-2].tolist() == [4, 5, 6]
    with pytest.raises(IndexError):
        store[5]
    assert store.shorter_than(2).tolist() == [1, 2, 4]
    fewer = store.without(np.array([0, 2])).without(np.array([4]))
    assert (len(fewer), fewer.total, ids(fewer), fewer[-1].tolist()) == (2, 3, [[], [4, 5, 6]], [4, 5, 6])
    # what a worker of a data loader is sent is a name, not the tokens
    assert len(pickle.dumps(fewer)) < 1000


def test_ids_take_two_bytes_or_four(tmp_path: Path) -> None:
    for size, width in ((1 << 16, 2), ((1 << 16) + 1, 4)):
        folder = tmp_path / str(size)
        folder.mkdir()
        writer = TokenWriter(folder, word_tokenizer(size=size))
        writer.add([[0, size - 1]])
        writer.finish({})
        assert (folder / "tokens.bin").stat().st_size == 2 * width
        assert ids(TokenStore(folder)) == [[0, size - 1]]
    writer = TokenWriter(tmp_path, TOKENIZER)
    with pytest.raises(ValueError, match="do not fit"):
        writer.add([[1 << 16]])
    writer.close()


def test_the_sample_is_the_lowest_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "SAMPLE", 20)
    monkeypatch.setattr("adept_bench.corpora.large.SAMPLE", 20)
    texts = [f"document {number % 500} of many" for number in range(1500)]
    big = large(write(tmp_path / "a.jsonl", texts))
    kept, held = split_held_out(corpus_of("a", texts), fraction=0.04, minimum=1, maximum=20)
    assert len(held.texts) == 20
    train, big_held = big.split(fraction=0.04, minimum=1, maximum=20)
    assert big_held.texts == held.texts
    assert train.describe()["documents"] == len(kept.texts) == 1440
    half, ten = big.split(fraction=0.02, minimum=1, maximum=20)
    assert len(ten.texts) == 10
    assert set(half.sample(100).texts) == set(held.texts) - set(ten.texts)
    with pytest.raises(InputError, match="21 documents to hold out; expected at most 20"):
        big.split(fraction=1, minimum=1, maximum=21)
    with pytest.raises(ValueError, match="split before"):
        train.split(**WHOLE)


def test_small_stays_in_memory_and_large_does_not(tmp_path: Path, cache: Path) -> None:
    source = write(tmp_path / "a.jsonl", ["abc", "", "de"])
    small = open_corpus(source, in_memory=5)
    assert isinstance(small, SmallText)
    assert (small.source, small.hash, small.describe()) == (
        source,
        read_corpus(source).hash,
        read_corpus(source).describe(),
    )
    assert small.sample(1).texts == ["abc"]
    assert not cache.exists()
    assert isinstance(open_corpus(source, in_memory=4), LargeText)
    assert isinstance(open_corpus("lab:medical-heldout"), SmallText)
    (tmp_path / "b.txt").touch()
    with pytest.raises(InputError, match=r"--probe-corpus: .*b\.txt holds no documents"):
        open_corpus(str(tmp_path / "b.txt"), option="--probe-corpus")
    with pytest.raises(InputError, match="one distinct document cannot be split"):
        large(write(tmp_path / "c.jsonl", ["x", "x"])).split(**WHOLE)


def folders() -> list[str]:
    return sorted(path.name for path in (cache_root() / "corpora").iterdir() if path.is_dir())


def test_kept_by_content_and_made_again_when_it_changes(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", ["a b", "c d", "e"])
    first = ids(large(source, load_tokenizer=lambda: TOKENIZER).tokens(TOKENIZER))
    made = folders()
    assert len(made) == 2
    # the same content elsewhere, and a tokenizer that someone has called otherwise, are the same
    TOKENIZER(["a", "b c"], padding="max_length", truncation=True, max_length=7)
    copy = write(tmp_path / "copy.jsonl", ["a b", "c d", "e"])
    times = {name: (cache_root() / "corpora" / name).stat().st_mtime_ns for name in made}
    assert ids(large(copy, load_tokenizer=lambda: TOKENIZER).tokens(TOKENIZER)) == first
    assert {name: (cache_root() / "corpora" / name).stat().st_mtime_ns for name in folders()} == times
    # another tokenizer or option: other tokens of the same scan
    other = word_tokenizer(WORDS[::-1])
    assert ids(large(source).tokens(other)) == tokenize_documents(
        other, ["a b", "c d", "e"], max_length=None, append_eos=True
    )
    assert ids(large(source).tokens(TOKENIZER, append_eos=False)) == [[2, 3], [4, 5]]
    assert len(folders()) == 4
    # other content of the same size under the same name
    write(tmp_path / "a.jsonl", ["a b", "c d", "f"])
    assert ids(large(source).tokens(TOKENIZER)) == [[2, 3, 1], [4, 5, 1], [7, 1]]
    assert len(folders()) == 6
    # the same bytes read otherwise
    rows = '{"text": "a b", "body": "c d"}\n{"text": "e", "body": "f"}\n'
    (tmp_path / "b.jsonl").write_text(rows)
    assert large(f"{tmp_path / 'b.jsonl'}#body").hash == corpus_of("", ["c d", "f"]).hash
    assert large(str(tmp_path / "b.jsonl")).hash == corpus_of("", ["a b", "e"]).hash


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    opened = large(write(path, ["a b", "c d"]))
    write(path, ["a b", "c e"])
    with pytest.raises(InputError, match=r"a\.jsonl: changed since it was first read"):
        opened.tokens(TOKENIZER)

    def load() -> PreTrainedTokenizerFast:
        # grows while it is being tokenised
        class Slow(PreTrainedTokenizerFast):
            def __call__(self, *args: object, **options: object) -> object:
                with open(path, "a") as handle:
                    handle.write('{"text": "late"}\n')
                return super().__call__(*args, **options)

        return Slow(tokenizer_object=TOKENIZER.backend_tokenizer, unk_token="<unk>", eos_token="<eos>")

    with pytest.raises(InputError, match=r"a\.jsonl: changed while it was read"):
        large(write(path, ["a", "b"]), load_tokenizer=load)


def test_damaged_files_are_made_again(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", ["a b", "c d", "e"])
    expected = ids(large(source).tokens(TOKENIZER))
    for name in ("scan.json", "digests.bin", "sample.txt", "tokens.bin", "ends.bin", "store.json"):
        (path,) = (cache_root() / "corpora").glob(f"*/{name}")
        path.write_bytes(path.read_bytes()[:-8])
        again = large(source)
        assert ids(again.tokens(TOKENIZER)) == expected, name
        assert sorted(again.sample(9).texts) == ["a b", "c d", "e"], name


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a b"}\n' * 3000 + '{"text": }\n')
    with pytest.raises(InputError, match=r"a\.jsonl:3001: not JSON"):
        large(str(path), load_tokenizer=lambda: TOKENIZER)
    assert folders() == []
    with pytest.raises(InputError, match="no end-of-text token"):
        large(
            write(path, ["a b"]),
            load_tokenizer=lambda: PreTrainedTokenizerFast(tokenizer_object=TOKENIZER.backend_tokenizer),
        )
    assert folders() == []


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    class Interrupted(PreTrainedTokenizerFast):
        calls = 0

        def __call__(self, *args: object, **options: object) -> object:
            Interrupted.calls += 1
            if Interrupted.calls == 3:
                raise KeyboardInterrupt
            return super().__call__(*args, **options)

    source = write(tmp_path / "a.jsonl", ["a b c"] * 5000)
    tokenizer = Interrupted(tokenizer_object=TOKENIZER.backend_tokenizer, unk_token="<unk>", eos_token="<eos>")
    with pytest.raises(KeyboardInterrupt):
        large(source, load_tokenizer=lambda: tokenizer)
    assert folders() == []
    assert len(large(source, load_tokenizer=lambda: tokenizer).tokens(tokenizer)) == 5000
