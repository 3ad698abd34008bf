"""Bytes of a text file, compressed or not, and what is said of bytes that are not UTF-8."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.errors import InputError

if TYPE_CHECKING:
    from adept_bench.corpora.formats import Position

BLOCK = 1 << 20  # bytes read at a time
COMPRESSED = {".gz": "gzip", ".zst": "zstd"}


class _Bytes(io.RawIOBase):
    """The file's bytes, decompressed; `position` follows where the file on the disk has been read to."""

    def __init__(self, path: Path, position: Position) -> None:
        self.path, self.position = path, position
        self.file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close()
        self.stream: Any = self.file
        self.given = 0
        if kind := COMPRESSED.get(path.suffix.lower()):
            import pyarrow

            self.stream = pyarrow.CompressedInputStream(self.file, kind)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            count = self.stream.readinto(buffer)
        except OSError as error:
            if self.stream is self.file:
                raise
            raise InputError(
                f"{self.path}: damaged or cut off behind byte {self.given} of its text: {error}; expected a whole "
                f"{self.path.suffix} file"
            ) from error
        self.given += count
        self.position.done = self.file.tell()
        return count

    def close(self) -> None:
        if not self.closed:
            self.stream.close()
            self.file.close()
        super().close()


def lines(path: Path, position: Position) -> io.BufferedReader:
    """The file's bytes (of .gz and .zst: decompressed), to be iterated by line; a block at a time is in memory."""
    return io.BufferedReader(_Bytes(path, position), BLOCK)


def decode(raw: bytes, where: str, start: int) -> str:
    """UTF-8 text of a line that begins at byte `start` of the file. Raises InputError with the first bad byte."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        wide = start == 0 and raw.startswith((b"\xff\xfe", b"\xfe\xff"))
        raise not_utf8(where, raw[error.start], start + error.start, wide) from error


def utf16(path: Path) -> bool:
    """Whether the file begins with the byte order mark of UTF-16."""
    with open(path, "rb") as handle:
        return handle.read(2) in (b"\xff\xfe", b"\xfe\xff")


def not_utf8(where: str, byte: int, offset: int, wide: bool) -> InputError:
    """The error for `byte`, at `offset` (from 0) of the file's text; `wide`: the file looks like UTF-16."""
    hint = "; the file looks like UTF-16: iconv -f UTF-16 -t UTF-8" if wide else ""
    return InputError(
        f"{where}: byte {byte:#04x} is not valid UTF-8, at byte {offset} of the text; expected UTF-8{hint}"
    )
