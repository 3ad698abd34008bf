"""`manifest.json` of a figures folder: each figure's files, caption and the result files it came from, by content.

{"figures": {"preset/suite/name": {"title", "paper", "caption", "notes", "files": {file: SHA-256}, "matplotlib",
"sources": {result file: SHA-256}}}, "missing": {"preset/suite/name": why it could not be rendered}}, sorted, and
without dates: the same results give the same manifest. Older versions wrote "files" as a list, without hashes.

While files are being written it holds the figures as they were and "writing", the hashes of those to come: whatever
ends the program then, each file there is known as ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from adept_bench.errors import InputError
from adept_bench.figures.export import Exported
from adept_bench.figures.signed import is_figure_file, says_so
from adept_bench.files import file_hash, write_whole
from adept_bench.outputs import OPTION, check_file
from adept_bench.progress import reporter

NAME = "manifest.json"


@dataclass
class Manifest:
    """What a figures folder holds, by "preset/suite/name"; `writing`: hashes of files that were about to be written."""

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    writing: dict[str, str] = field(default_factory=dict)

    def files(self) -> dict[str, str]:
        """SHA-256 of each file of the figures, by its place below the folder."""
        return {
            f"{key.rpartition('/')[0]}/{name}": sha256
            for key, entry in self.figures.items()
            for name, sha256 in entry["files"].items()
        }


def read(output: Path, force: bool = False) -> Manifest:
    """The folder's manifest; an empty one where there is none.

    Raises InputError where the file is not one that this program wrote, or names files that are no figures of its own
    below the folder. `force`: the log says so, and nothing that it names is touched.
    """
    path = output / NAME
    check_file(path, lambda _: True)  # a pipe is not opened
    try:
        return _parsed(path.read_bytes(), output)
    except (FileNotFoundError, NotADirectoryError):
        return Manifest()
    except OSError as error:
        raise InputError(f"{OPTION}: {path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f"names {error.name!r}, no figure of its folder" if isinstance(error, _Foreign) else "is none of figures"
        if not force:
            raise InputError(
                f"{OPTION}: {path} {why}; expected a folder of figures or a new one, or --force to replace this file"
            ) from None
        reporter().log(f"{path} {why}; writing a new one, files it may have named stay")
        return Manifest()


class _Foreign(ValueError):
    def __init__(self, name: str) -> None:
        self.name = name[:80]


def _parsed(content: bytes, output: Path) -> Manifest:
    found = json.loads(content)
    manifest = Manifest(dict(found["figures"]), dict(found["missing"]), dict(found.get("writing", {})))
    for key, entry in manifest.figures.items():
        if not isinstance(entry["files"], dict | list) or not isinstance(entry["sources"], dict):
            raise TypeError
        for name in entry["files"]:
            if not is_figure_file(key, str(name)):
                raise _Foreign(str(name))
        if isinstance(entry["files"], list):
            entry["files"] = _hashed(output / key, entry["files"], str(entry["caption"]))
    return manifest


def _hashed(figure: Path, files: Iterable[str], caption: str) -> dict[str, str]:
    """The hashes that an older version did not write, of files that are ours by what they say.

    A picture says what it shows; numbers and tables are as much ours as the pictures of their figure beside them.
    """
    there = [path for path in (figure.parent / name for name in files) if path.is_file() and not path.is_symlink()]
    signed = any(says_so(path, caption) for path in there)
    return {path.name: file_hash(path) for path in there if signed}


def update(
    output: Path, rendered: Iterable[Exported], missing: Mapping[str, str], everything: bool, force: bool = False
) -> tuple[list[str], list[str]]:
    """Write the figures' files and the manifest below `output`; what would not change is not touched.

    `everything`: nothing restricted what was rendered. Files of figures that the old manifest lists and that can no
    longer be rendered are then removed, with their entries; otherwise other entries are kept. A figure's files of
    formats that were not asked for now stay if they were made from the same results, and are removed if not.
    Returns the written and the removed files, below `output`. Raises InputError, before anything is written, where a
    file in the way is not as this program wrote it; `force`: such files of the folder are replaced or removed.
    """
    old = read(output, force)
    new = Manifest() if everything else Manifest(dict(old.figures), dict(old.missing))
    contents: dict[str, bytes] = {}
    for one in rendered:
        key = f"{one.place}/{one.name}"
        contents |= {f"{one.place}/{name}": content for name, content in one.files.items()}
        new.figures[key] = _entry(one, old.figures.get(key))
        new.missing.pop(key, None)
    new.missing |= {key: reason for key, reason in missing.items() if key not in new.figures}
    listed = new.files()
    stale = [name for name in old.files() if name not in listed and (output / name).exists()]
    _check(output, old, contents, stale, force)
    changed = {name: content for name, content in contents.items() if not _holds(output / name, content)}
    if changed:
        _write_manifest(output, Manifest(old.figures, old.missing, {n: _hash(c) for n, c in changed.items()}))
    for name, content in changed.items():
        write_whole(output / name, content)
    for name in stale:
        _remove(output, name)
    written = list(changed)
    if _write_manifest(output, new):
        written.append(NAME)
    return written, stale


def _entry(one: Exported, before: dict[str, Any] | None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "title": one.title,
        "paper": one.paper,
        "caption": one.caption,
        "notes": one.notes,
        "files": {name: _hash(content) for name, content in one.files.items()},
        "matplotlib": one.matplotlib,
        "sources": one.sources,
    }
    same = before is not None and all(before.get(what) == entry[what] for what in ("sources", "matplotlib", "caption"))
    if before is not None and same:
        entry["files"] = before["files"] | entry["files"]
    return entry


def _check(output: Path, old: Manifest, contents: Mapping[str, bytes], stale: Iterable[str], force: bool) -> None:
    """Raise InputError where a file that is to be written or removed is not ours, or not below `output`."""
    known, root = old.files(), output.resolve()

    def ours(name: str, path: Path) -> bool:
        if name in contents and _holds(path, contents[name]):
            return True
        if name in known or name in old.writing:
            return file_hash(path) in (known.get(name), old.writing.get(name))
        return says_so(path)

    for name in (*contents, *stale):
        place = (output / name).parent
        if not place.resolve().is_relative_to(root):
            raise InputError(f"{OPTION}: {place} leads out of {output}; expected a folder of figures or a new one")
        for folder in (place, place.parent):
            if folder.exists() and not folder.is_dir():
                raise InputError(f"{OPTION}: {folder} is a file; expected a folder of figures or a new one")
        check_file(output / name, partial(ours, name), force=force)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _holds(path: Path, content: bytes) -> bool:
    """Whether the file, a regular one or none, holds just that."""
    return path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content


def _remove(output: Path, name: str) -> None:
    path = output / name
    path.unlink()
    for folder in (path.parent, path.parent.parent):
        if folder != output and not any(folder.iterdir()):
            folder.rmdir()


def _write_manifest(output: Path, manifest: Manifest) -> bool:
    """Write the manifest whole unless it is there already; whether it was written."""
    document: dict[str, Any] = {"figures": manifest.figures, "missing": manifest.missing}
    if manifest.writing:
        document["writing"] = manifest.writing
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    if _holds(output / NAME, text.encode()):
        return False
    write_whole(output / NAME, text)
    return True
