"""Files written whole or not at all, content hashes, and where derived files live."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.guarded import RECORD, AbsentError, DamagedError, read_json
from adept_bench.progress import reporter

if TYPE_CHECKING:
    from filelock import BaseFileLock

SEAL = "content_hash"  # in an own file: the hash of all else in it
LEASE = 90.0  # seconds without a sign of life after which the holder of a lock counts as dead on other machines


def write_whole(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` through a temporary file and a rename, so that no reader ever sees a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode("utf-8") if isinstance(content, str) else content
    # the name cut, as one of the greatest length would have no room for what is added
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        # mkstemp makes the file private; a result is as readable as the user's other files
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as UTF-8 JSON with sorted keys, whole."""
    write_whole(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


# what libraries say of a full disk or quota that wrap the system's error, or lose it
_FULL = ("No space left", "os error 28", "StorageFull", "os error 27", "File too large", "quota exceeded")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_WRITERS = ("PytorchStreamWriter", "inline_container", "MetadataIncompleteBuffer")


def not_written(error: BaseException) -> str | None:
    """Why a disk takes no more, where `error` says so: the system's words, whichever library passed them on."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno in _NO_ROOM else None
    if any(sign in str(error) for sign in _FULL):
        return os.strerror(errno.EFBIG if "os error 27" in str(error) or "too large" in str(error) else errno.ENOSPC)
    if isinstance(error, RuntimeError) and any(sign in str(error) for sign in _WRITERS):
        return "it could not be written to the end (is the disk full?)"
    return None


def content_hash(value: Any) -> str:
    """A short hash (16 hex digits) of any JSON value, the same for the same content on every machine."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


class DamagedFileError(ValueError):
    """A file that this program wrote does not hold what it wrote; the message says in what."""


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """`write_json` of `value` and, under SEAL, of the hash that `read_sealed` holds it against."""
    stored = json.loads(json.dumps(value))  # as it is read: tuples are lists, keys are text
    write_json(path, {**value, SEAL: content_hash(stored)})


def read_sealed(path: Path) -> dict[str, Any]:
    """What `write_sealed` wrote, without the seal; a file of an earlier version, which has none, as it is.

    Raises DamagedFileError for what is no whole JSON object, or another one than was written; FileNotFoundError where
    there is none, InputError where it cannot be read.
    """
    try:
        found = read_json(path, RECORD, "a whole JSON object")
    except AbsentError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
    except DamagedError as error:
        raise DamagedFileError(str(error).removeprefix(str(path)).lstrip(":0123456789 ")) from None
    if not isinstance(found, dict):
        raise DamagedFileError(f"a JSON {type(found).__name__}; expected an object")
    seal = found.pop(SEAL, None)
    if seal is not None and seal != content_hash(found):
        raise DamagedFileError(f"its content is not that of its {SEAL}")
    return found


def set_aside(path: Path) -> Path | None:
    """Rename a damaged file or folder to `<name>.damaged-<n>`; returns that, None where another process was faster."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    try:
        return path.rename(aside)
    except FileNotFoundError:
        return None


def log_aside(path: Path, said: object, then: str = "") -> None:
    """`set_aside`, and a line in the log: what is `said` of the damage, where the file went, and what comes of it."""
    aside = set_aside(path)
    moved = f"moved to {aside}" if aside else "already moved aside"
    reporter().log("; ".join(filter(None, (str(said), moved, then))))


def cache_root() -> Path:
    """Where derived files that outlive a run are kept: $ADEPT_BENCH_CACHE, else the user's cache folder."""
    if chosen := os.environ.get("ADEPT_BENCH_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "adept-bench"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock named by `path` across processes and across the machines that share its folder.

    Where another holds it, say so once and wait. Two locks in turn: `path`.lock by the system, which keeps the
    processes of a machine apart and ends with its holder, and `path`.lease, a file that the holder touches every few
    seconds, as many shared file systems keep the first one to each machine. A holder that died leaves a lease that
    its own machine takes at once, and any other after LEASE seconds without a touch.
    """
    from filelock import FileLock, SoftFileLease, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        for lock in (FileLock(f"{path}.lock"), SoftFileLease(f"{path}.lease", lease_duration=LEASE)):
            try:
                lock.acquire(timeout=0)
            except Timeout:
                reporter().log(f"waiting for {lock.lock_file}, which another process holds")
                _wait(lock)
            held.callback(lock.release)
        yield


def _wait(lock: BaseFileLock) -> None:
    """Acquire `lock`, however long that takes.

    filelock never takes over a lease with nothing in it, as its holder may be about to write it. One that stays so for
    LEASE seconds is from a process that was killed just then, and is removed.
    """
    from filelock import Timeout

    place = Path(lock.lock_file)
    while True:
        before = _empty(place)
        try:
            lock.acquire(timeout=LEASE, poll_interval=0.5)
            return
        except Timeout:
            if place.suffix == ".lease" and before is not None and _empty(place) == before:
                place.unlink(missing_ok=True)


def _empty(path: Path) -> tuple[int, int] | None:
    """What tells an empty file from another of its name; None where it is not empty, or not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return None if found.st_size else (found.st_ino, found.st_ctime_ns)
