"""Corpora from files: every format reads the same, and what is broken is named by file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adept_bench.corpora.reading import Corpus, corpus_of, read_corpus, split_held_out
from adept_bench.errors import InputError

TEXTS = ["First document.", "Zweites, mit Umläuten: äöü.", "第三\nwith a second line", "last"]


def write_lines(path: Path, rows: list) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return str(path)


def forms(folder: Path) -> dict[str, str]:
    """The same four documents in every form that is promised."""
    (folder / "list.json").write_text(json.dumps(TEXTS), encoding="utf-8")
    (folder / "objects.json").write_text(json.dumps([{"text": text, "n": 1} for text in TEXTS]), encoding="utf-8")
    (folder / "columns.json").write_text(json.dumps({"text": TEXTS}), encoding="utf-8")
    (folder / "other.json").write_text(json.dumps([{"body": text, "text": 3} for text in TEXTS]), encoding="utf-8")
    (folder / "plain.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n \r\n\r\n".join(TEXTS).encode())
    pyarrow.parquet.write_table(pyarrow.table({"text": TEXTS, "id": [1, 2, 3, 4]}), folder / "table.parquet")
    write_lines(folder / "lines.jsonl", [{"text": text} for text in TEXTS])
    write_lines(folder / "body#1.jsonl", [{"body": text} for text in TEXTS])
    names = ["list.json", "objects.json", "columns.json", "plain.txt", "table.parquet", "lines.jsonl"]
    return {name: str(folder / name) for name in [*names, "other.json#body", "body#1.jsonl#body"]}


def test_every_form_reads_the_same(tmp_path: Path) -> None:
    corpora = {name: read_corpus(source) for name, source in forms(tmp_path).items()}
    assert {name: corpus.texts for name, corpus in corpora.items()} == dict.fromkeys(corpora, TEXTS)
    assert len({corpus.hash for corpus in corpora.values()}) == 1
    described = corpora["list.json"].describe()
    assert described == {
        "source": str(tmp_path / "list.json"),
        "documents": 4,
        "characters": 15 + 27 + 21 + 4,
        "hash": corpora["plain.txt"].hash,
    }


def test_limit_and_blank_documents(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "a.jsonl", [{"text": "  \n"}, {"text": "a"}, {"text": ""}, {"text": "b"}])
    assert read_corpus(source).texts == ["a", "b"]
    assert read_corpus(source, limit=1).texts == ["a"]
    # a document past the limit is not read, so its error does not matter
    broken = tmp_path / "b.jsonl"
    broken.write_text('{"text": "a"}\n\n{"text": "b"}\n{"tex')
    assert read_corpus(str(broken), limit=2).texts == ["a", "b"]
    with pytest.raises(InputError, match=r"b\.jsonl:4: not JSON"):
        read_corpus(str(broken))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text": "b"\n', r"a\.jsonl:2: not JSON .*column 13"),
        (
            "a.jsonl",
            b'{"text": "a"}\n{"txt": "b"}\n',
            r"a\.jsonl:2: no field 'text'; there are: txt .*did you mean 'txt'",
        ),
        ("a.jsonl", b'{"text": 3}\n', r"a\.jsonl:1: field 'text' holds a number; expected text"),
        ("a.jsonl", b'{"text": null}\n', r"a\.jsonl:1: field 'text' holds null"),
        ("a.jsonl", b'\n"text"\n', r"a\.jsonl:2: holds a string; expected an object"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', r"a\.jsonl:2: byte 0xff is not valid UTF-8"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', r"a\.jsonl:1: field 'text' holds half a surrogate pair"),
        ("a.jsonl", b"\n\n", r"--corpus: .*a\.jsonl holds no documents"),
        ("a.json", b'[\n"a",\n]', r"a\.json:3: not JSON"),
        ("a.json", b'["a", {"text": []}]', r"a\.json: item 2: field 'text' holds a list"),
        ("a.json", b'{"texts": ["a"]}', r"a\.json: expected a list of documents"),
        ("a.json", b'{"text": ["a", 1]}', r"a\.json: item 2 of 'text' holds a number"),
        ("a.json", b"3", r"a\.json: holds a number; expected a list"),
        ("a.json", b"[]", r"holds no documents"),
        ("a.json", b"[" * 100_000, r"a\.json: JSON nested too deeply"),
        ("a.txt", b"a\n\nb \xc3\n", r"a\.txt:3: byte 0xc3 is not valid UTF-8"),
        ("a.txt", b"\xef\xbb\xbfa\n\xff\n", r"a\.txt:2: byte 0xff is not valid UTF-8"),
        ("a.parquet", b"no", r"a\.parquet: not a readable parquet file"),
        ("a.csv", b"a,b", r"--corpus: .*a\.csv has an unknown ending; expected one of: \.jsonl"),
    ],
)
def test_broken_input_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_corpus(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_broken_parquet_rows_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"txt": ["a", None], "n": [1, 2]}), path)
    with pytest.raises(InputError, match=r"no column 'text'; there are: txt, n .*did you mean 'txt'"):
        read_corpus(str(path))
    with pytest.raises(InputError, match=r"a\.parquet: row 2: column 'txt' holds null"):
        read_corpus(f"{path}#txt")


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    write_lines(tmp_path / "medical.jsonl", [{"text": "a"}])
    with pytest.raises(InputError, match=r"--set data\.domain: no file .*; did you mean .*medical\.jsonl"):
        read_corpus(str(tmp_path / "medcal.jsonl"), option="--set data.domain")
    with pytest.raises(InputError, match="is a folder"):
        read_corpus(str(tmp_path))
    with pytest.raises(InputError, match="there is no folder"):
        read_corpus(str(tmp_path / "no" / "a.jsonl"))
    with pytest.raises(InputError, match="neither a file"):
        read_corpus("what is this")
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(InputError, match="no columns"):
        read_corpus(f"{tmp_path / 'a.txt'}#body")


def test_lab_corpora() -> None:
    lab = pytest.importorskip("adept_bench.lab.corpora")
    corpus = read_corpus("lab:medical-heldout")
    assert corpus.texts == lab.texts("medical-heldout")
    with pytest.raises(InputError, match=r"'lab:medicl'.*did you mean 'lab:medical'"):
        read_corpus("lab:medicl")


def test_hash_tells_texts_and_boundaries_apart() -> None:
    hashes = {corpus_of("x", texts).hash for texts in (["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"], ["ab", "c", ""])}
    assert len(hashes) == 5
    assert corpus_of("x", ["a"]) == Corpus("x", ["a"], corpus_of("y", ["a"]).hash)


@given(
    texts=st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=60),
    fraction=st.floats(0, 1),
    minimum=st.integers(1, 10),
    maximum=st.integers(1, 30),
    seed=st.integers(0, 3),
)
def test_split_properties(texts: list[str], fraction: float, minimum: int, maximum: int, seed: int) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    corpus = corpus_of("here", texts)
    options = {"fraction": fraction, "minimum": minimum, "maximum": maximum, "seed": seed}
    distinct = set(texts)
    if len(distinct) < 2:
        with pytest.raises(InputError, match="one distinct document"):
            split_held_out(corpus, **options)
        return
    train, held = split_held_out(corpus, **options)
    assert set(train.texts) | set(held.texts) == distinct
    assert not set(train.texts) & set(held.texts)
    assert train.texts == [text for text in texts if text in set(train.texts)]
    assert len(held.texts) == len(set(held.texts))
    assert 1 <= len(held.texts) <= min(max(maximum, 1), max(len(distinct) // 2, 1))
    assert (train, held) == split_held_out(corpus, **options)
    # neither order nor repetition of documents decides which are held out
    again = split_held_out(corpus_of("here", texts[::-1] + texts), **options)[1]
    assert set(again.texts) == set(held.texts)


def test_split_sizes_and_seeds() -> None:
    corpus = corpus_of("here", [f"document {number}" for number in range(1000)])
    assert len(split_held_out(corpus)[1].texts) == 50
    assert len(split_held_out(corpus, maximum=20)[1].texts) == 20
    assert len(split_held_out(corpus, fraction=0.001)[1].texts) == 8
    assert split_held_out(corpus, seed=1)[1].texts != split_held_out(corpus, seed=2)[1].texts
    assert [part.source for part in split_held_out(corpus)] == ["here (train)", "here (held out)"]
