"""Where a command's result goes: characters that stdout lacks, a reader that is gone, a disk that is full."""

from __future__ import annotations

import codecs
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from adept_bench.errors import InputError
from adept_bench.escapes import terminal

CLOSED_PIPE = 141  # 128 + SIGPIPE, as shells have it for what they end in `... | head -1`
_ESCAPES = "adept-bench-json"


class Watched:
    """A stream that keeps the error that it could not be written to with, to tell it from those of other files."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        with self._watch():
            return self.stream.write(text)

    def flush(self) -> None:
        with self._watch():
            self.stream.flush()

    @contextmanager
    def _watch(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def fault(self) -> OSError | None:
        """Why what was printed cannot be written; None where all of it is. What is left of it is then dropped."""
        with suppress(OSError, ValueError):  # ValueError: closed on purpose
            self.flush()
        if self.error is not None:
            with suppress(OSError, ValueError):  # the interpreter flushes once more as it ends, and would say so
                void = os.open(os.devnull, os.O_WRONLY)
                os.dup2(void, self.stream.fileno())
                os.close(void)
        return self.error


@contextmanager
def watched() -> Iterator[Watched]:
    """stdout within the block, ready for any text: a character that its encoding lacks becomes a question mark.

    Raises InputError where the process was started without one: what it opens next would take its number, and its
    place. Without stderr nothing is said.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, open until the end
    if sys.stdout is None:
        raise InputError("stdout: is closed; expected a place for the result, such as > FILE, or > /dev/null")
    before = sys.stdout
    if getattr(before, "errors", None) == "strict" and hasattr(before, "reconfigure"):
        with suppress(OSError):  # it is flushed first; the last flush will tell
            before.reconfigure(errors="replace")
    found = Watched(before)
    sys.stdout = cast("TextIO", found)
    try:
        yield found
    finally:
        sys.stdout = before


def is_closed_pipe(error: OSError) -> bool:
    """Whether the reader went away, as `head` does when it has what it wanted: no error to speak of."""
    return error.errno == errno.EPIPE


def print_json(text: str) -> None:
    """Print JSON; characters that cannot be seen, or that stdout's encoding lacks, are escaped: it is the same JSON."""
    text = terminal(text)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, errors=_ESCAPES).decode(encoding))


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    pairs = error.object[error.start : error.end].encode("utf-16-be", errors="surrogatepass").hex()
    return "".join(f"\\u{pairs[i : i + 4]}" for i in range(0, len(pairs), 4)), error.end


codecs.register_error(_ESCAPES, _escaped)
