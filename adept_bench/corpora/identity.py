"""What a corpus and a tokenizer are known by: derived files are kept under hashes of their content, not their names."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from adept_bench.files import cache_root, content_hash, file_hash, write_json

SETTLED = 2 * 10**9  # nanoseconds a file must have lain unchanged: some file systems keep times to two seconds


def known_file_hash(path: Path) -> str:
    """SHA-256 of the file's bytes, in hex; remembered in the cache for as long as the file stays as it is.

    A file that was changed less than two seconds ago is hashed anew each time, since a further change might not show in
    its times.
    """
    path = path.resolve()
    stat = path.stat()
    state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    note = cache_root() / "hashes" / f"{content_hash(str(path))}.json"
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["state"] == state:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # never noted, or the note is damaged
    found = file_hash(path)
    if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > SETTLED:
        with suppress(OSError):  # a cache that is full or read-only only costs time
            write_json(note, {"path": str(path), "state": state, "sha256": found})
    return found


def tokenizer_hash(tokenizer: Any) -> str:
    """A short hash of all that decides which ids a tokenizer gives a text: its rules, and the library's version."""
    import tokenizers
    import transformers

    kind = f"{type(tokenizer).__module__}.{type(tokenizer).__qualname__}"
    facts: dict[str, Any] = {
        "class": kind,
        "tokenizers": tokenizers.__version__,
        "end": tokenizer.eos_token_id,
        "split_special_tokens": getattr(tokenizer, "split_special_tokens", None),
    }
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        rules = json.loads(backend.to_str())
        # left over from whoever called the tokenizer last; tokenising sets both itself
        return content_hash(facts | {"rules": {**rules, "truncation": None, "padding": None}})
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        saved = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return content_hash(facts | {"transformers": transformers.__version__, "files": saved})
