"""Every format read a part at a time: odd documents come through whole, and what is broken is named where it is."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adept_bench.corpora import commits, formats
from adept_bench.corpora.formats import Position
from adept_bench.corpora.prepared import Part, PreparedSource
from adept_bench.corpora.reading import read_corpus
from adept_bench.corpora.sources import HubSource, find_source
from adept_bench.errors import InputError

ODD = [
    "windows\r\nlines",
    "  spaces around\t",
    "第三の文書、とても長い" * 3,
    "nul \x00 inside",
    "emoji 👩‍⚕️ and combining e\u0301",
    "\u2028 line separator \x85 next line \x0b\x0c",
    "x" * 3_000_000,
    "\ufeffmark in front",
    '"quotes" \\ and {braces}',
]
# what a text file can hold: no blank line, no carriage return, no byte order mark in front
PLAIN = [*(text for text in ODD if "\r" not in text and "\ufeff" not in text), "two\nlines"]


def zstd(data: bytes) -> bytes:
    return pyarrow.Codec("zstd").compress(data, asbytes=True)


def test_odd_documents_come_through_every_format(tmp_path: Path) -> None:
    rows = [json.dumps({"text": text}, ensure_ascii=False).encode() for text in ODD]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(rows))
    (tmp_path / "windows.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n".join(rows) + b"\r\n")
    # two compressed files one behind the other are one
    (tmp_path / "a.jsonl.gz").write_bytes(
        gzip.compress(b"\n".join(rows[:4]) + b"\n") + gzip.compress(b"\n".join(rows[4:]))
    )
    (tmp_path / "A.JSONL.ZST").write_bytes(zstd(b"\n".join(rows[:4]) + b"\n") + zstd(b"\n".join(rows[4:])))
    (tmp_path / "a.json").write_text(json.dumps(ODD), encoding="utf-8")
    pyarrow.parquet.write_table(pyarrow.table({"text": ODD}), tmp_path / "a.parquet", row_group_size=4)
    names = ["a.jsonl", "windows.jsonl", "a.jsonl.gz", "A.JSONL.ZST", "a.json", "a.parquet"]
    for name in names:
        position = Position()
        source = find_source(str(tmp_path / name), option="--corpus")
        assert list(source.texts(position)) == ODD, name
        assert position.done == source.size, name


def test_text_files_with_any_line_end(tmp_path: Path) -> None:
    for name, end in (("unix", "\n"), ("windows", "\r\n"), ("old", "\r")):
        text = "\ufeff" + f"{end} {end}\t{end}".join(text.replace("\n", end) for text in PLAIN)
        (tmp_path / f"{name}.txt").write_bytes(text.encode())
        (tmp_path / f"{name}.txt.gz").write_bytes(gzip.compress(text.encode()))
        (tmp_path / f"{name}.txt.zst").write_bytes(zstd(text.encode()))
        for path in sorted(tmp_path.glob(f"{name}.txt*")):
            assert list(find_source(str(path), option="--corpus").texts()) == PLAIN, path.name


@settings(deadline=None)
@given(st.text(alphabet="a \r\né\u2028\x0b\ufeff\x1c"))
def test_paragraphs_equal_those_of_the_whole_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes(text.encode())
    found: list[list[str]] = [[]]
    for line in text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if line.strip():
            found[-1].append(line)
        else:
            found.append([])
    assert list(formats.read_txt(path, "text")) == ["\n".join(lines) for lines in found if lines]


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".txt", ".txt.gz"])
@pytest.mark.parametrize("bad", [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf0\x9f\x98"])
def test_bad_utf8_deep_in_a_file(tmp_path: Path, ending: str, bad: bytes) -> None:
    line = f'{{"text": "{"ä 文書" * 300}"}}\r\n'.encode()
    before = line * 1000 + '{"text": "héllo '.encode()  # far beyond any buffer
    data = before + bad + b' end"}\r\n' + line * 10
    path = tmp_path / f"a{ending}"
    path.write_bytes({".gz": gzip.compress(data, 1), ".zst": zstd(data)}.get(path.suffix, data))
    with pytest.raises(InputError) as caught:
        for _ in find_source(str(path), option="--corpus").texts():
            pass
    expected = f"{path}:1001: byte {bad[0]:#04x} is not valid UTF-8, at byte {len(before)} of the text; expected UTF-8"
    assert str(caught.value) == expected


def test_broken_json_deep_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n' * 150_000 + '{"text": "a",}\n')
    with pytest.raises(InputError, match=r"a\.jsonl:150001: not JSON"):
        read_corpus(str(path))
    path.write_text('{"text": ' + "1" * 5000 + "}")
    with pytest.raises(InputError, match=r"a\.jsonl:1: JSON with a number that is too long"):
        read_corpus(str(path))


def test_utf16_is_recognised(tmp_path: Path) -> None:
    for name in ("a.txt", "a.json", "a.jsonl"):
        (tmp_path / name).write_text('["text"]', encoding="utf-16")
        with pytest.raises(
            InputError, match=r":1: byte 0xff is not valid UTF-8, at byte 0 .* looks like UTF-16: iconv"
        ):
            read_corpus(str(tmp_path / name))


def test_damaged_compressed_files(tmp_path: Path) -> None:
    rows = b"".join(b'{"text": "document %d"}\n' % number for number in range(50_000))
    for name, data in (("cut.jsonl.gz", gzip.compress(rows)[:-100]), ("cut.jsonl.zst", zstd(rows)[:-100])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=rf"{name}: damaged or cut off behind byte \d+ of its text: Truncated"):
            read_corpus(str(tmp_path / name))
    (tmp_path / "no.txt.gz").write_bytes(b"plain text")
    with pytest.raises(InputError, match=r"no\.txt\.gz: damaged or cut off behind byte 0 .* a whole \.gz file"):
        read_corpus(str(tmp_path / "no.txt.gz"))


def test_bad_bytes_in_parquet_are_named_by_row(tmp_path: Path) -> None:
    values = [f"row {number}".encode() for number in range(1, 701)]
    values[612] = b"bad \xff"
    raw = pyarrow.array(values, type=pyarrow.binary())
    # a string column whose bytes nobody checked, as other writers leave them
    text = pyarrow.Array.from_buffers(pyarrow.string(), len(raw), raw.buffers())
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": text}), path, row_group_size=100)
    with pytest.raises(InputError, match=r"a\.parquet: row 613: byte 0xff is not valid UTF-8, at byte 4 of the text"):
        read_corpus(str(path))
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3 : len(damaged) // 3 + 400] = b"\xaa" * 400
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"a\.parquet: (column|row)"):
        read_corpus(str(path))


def test_files_that_would_not_fit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text(json.dumps(["a", {"text": "b"}]))
    monkeypatch.setattr(formats, "JSON_LIMIT", 10)
    with pytest.raises(InputError, match=r"a\.json: 20 bytes; .* at most 10 .* jq -c '.*' a\.json > a\.jsonl"):
        read_corpus(str(tmp_path / "a.json"))
    (tmp_path / "a.txt").write_text("short\n\n" + "a line of a book\n" * 30)
    monkeypatch.setattr(formats, "PARAGRAPH_LIMIT", 100)
    with pytest.raises(
        InputError, match=r"a\.txt:9: a paragraph of 7 lines and more than 100 characters; .* blank line"
    ):
        read_corpus(str(tmp_path / "a.txt"))


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`acme/notes`, which `datasets` takes from the folder of that name instead of the Hub. Returns its texts."""
    texts = [f"note {number}" for number in range(50)] + ["", "last"]
    folder = tmp_path / "acme" / "notes"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text("".join(json.dumps({"text": text, "n": 1}) + "\n" for text in texts))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(commits, "RESOLVE_SECONDS", 0.5)
    return texts


def test_a_hub_dataset_at_a_commit_is_streamed(dataset: list[str]) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    source = find_source(f"acme/notes@{commit}:train", option="--corpus")
    assert isinstance(source, HubSource)
    assert source.streamed
    assert list(source.texts()) == dataset
    assert source.identity() == f"hub:acme/notes/:train#text@{commit}"
    with pytest.raises(InputError, match=r"row 0: no column 'body'; there are: text, n"):
        list(find_source(f"acme/notes@{commit}:train#body", option="--corpus").texts())
    with pytest.raises(InputError, match="row 0: column 'n' holds a number; expected text"):
        list(find_source(f"acme/notes@{commit}:train#n", option="--corpus").texts())


def test_a_stream_is_read_as_far_as_the_budget_and_its_commit_recorded(dataset: list[str], tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    with open(tmp_path / "acme" / "notes" / "train.jsonl", "a", encoding="utf-8") as handle:
        handle.writelines(json.dumps({"text": f"far behind {n}", "n": n}) + "\n" for n in range(200_000))
    (tmp_path / "acme" / "notes" / "train_z.jsonl").write_text("{ broken\n")  # the next file, never reached
    part = Part(find_source(f"acme/notes@{commit}", option="--corpus"))
    source = PreparedSource("notes", (part,), deduplicate=True, limit=60)
    assert list(source.texts()) == dataset[:10]  # of 6 bytes each
    (found,) = source.notes()["parts"]
    assert found["identity"] == f"hub:acme/notes/:train#text@{commit}"
    assert part.source.notes() == {"identity": found["identity"]}


@pytest.mark.skipif("HF_HUB_OFFLINE" in os.environ, reason="the Hub's own switch would decide")
def test_what_cannot_be_streamed_is_read_from_the_cache(dataset: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # no commit can be asked for: the Hub is not there
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    part = find_source("acme/notes:train[:5]", option="--corpus")
    assert list(part.texts()) == dataset[:5]
    whole = find_source("acme/notes:train", option="--corpus")
    assert list(whole.texts()) == dataset
    assert whole.identity() != part.identity()
    assert read_corpus("acme/notes:train").texts == [text for text in dataset if text]
    with pytest.raises(InputError, match="could not be read from the Hub"):
        list(find_source("acme/nothing:train", option="--corpus").texts())


def test_json_is_read_by_what_it_is_and_not_by_its_ending(tmp_path: Path) -> None:
    """JSON lines called .json, and a JSON list or object called .jsonl, give the documents of the right name."""
    rows = [{"text": "one\n[", "n": 1}, {"text": "{ two"}, {"text": "drei é"}]
    texts = [row["text"] for row in rows]
    by_line = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    variants = {
        "lines.json": by_line,
        "windows.json": "\ufeff\r\n" + by_line.replace("\n", "\r\n\r\n") + "\r\n",
        "list.jsonl": json.dumps(rows),
        "strings.jsonl": json.dumps(texts),
        "pretty.jsonl": "\n\n" + json.dumps(rows, indent=2),
        "object.jsonl": json.dumps({"text": texts}, indent=1),
    }
    for name, content in variants.items():
        (tmp_path / name).write_bytes(content.encode())
        assert read_corpus(str(tmp_path / name)).texts == texts, name
    (tmp_path / "list.jsonl.gz").write_bytes(gzip.compress(json.dumps(rows).encode()))
    assert read_corpus(str(tmp_path / "list.jsonl.gz")).texts == texts
    # a single line is an object with one document, or with a list of them; both names agree
    for name in ("one.json", "one.jsonl"):
        (tmp_path / name).write_text(json.dumps(rows[0]))
        assert read_corpus(str(tmp_path / name)).texts == texts[:1]
    (tmp_path / "many.json").write_text(json.dumps({"text": texts}) + "\n\n")
    assert read_corpus(str(tmp_path / "many.json")).texts == texts


def test_json_lines_called_json_are_streamed_and_name_their_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "JSON_LIMIT", 10)
    (tmp_path / "a.json").write_text('{"text": "a"}\n{"text": "b"}\n')
    assert read_corpus(str(tmp_path / "a.json")).texts == ["a", "b"]
    (tmp_path / "a.json").write_text('{"text": "a"}\n\n{"txt": "b"}\n')
    with pytest.raises(InputError, match=r"a\.json:3: no field 'text'"):
        read_corpus(str(tmp_path / "a.json"))
    (tmp_path / "a.jsonl").write_text('[{"text": "a"},\n {"text" "b"}]')
    with pytest.raises(InputError, match=r"a\.jsonl: 30 bytes; .* at most 10 .* a\.jsonl > lines-a\.jsonl"):
        read_corpus(str(tmp_path / "a.jsonl"))
    monkeypatch.setattr(formats, "JSON_LIMIT", 100)
    with pytest.raises(InputError, match=r"a\.jsonl:2: not JSON"):
        read_corpus(str(tmp_path / "a.jsonl"))
