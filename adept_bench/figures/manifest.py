"""`manifest.json` of a figures folder: each figure's files, caption and the result files it came from, by content.

{"figures": {"preset/suite/name": {"title", "paper", "caption", "notes", "files", "matplotlib", "sources": {result file:
SHA-256}}}, "missing": {"preset/suite/name": why it could not be rendered}}, sorted, and without dates: the same results
give the same manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adept_bench.figures.export import Exported
from adept_bench.files import write_whole
from adept_bench.progress import reporter

NAME = "manifest.json"


@dataclass
class Manifest:
    """What a figures folder holds, by "preset/suite/name"."""

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def read(output: Path) -> Manifest:
    """The folder's manifest; an empty one where there is none. A damaged one is named in the log and begun anew."""
    path = output / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        figures, missing = dict(content["figures"]), dict(content["missing"])
        if not all(isinstance(one["files"], list) and isinstance(one["sources"], dict) for one in figures.values()):
            raise TypeError
    except FileNotFoundError:
        return Manifest()
    except (ValueError, KeyError, TypeError):
        reporter().log(f"{path}: not a manifest of figures; writing a new one, files it may have named stay")
        return Manifest()
    return Manifest(figures, missing)


def update(
    output: Path, rendered: Iterable[Exported], missing: Mapping[str, str], everything: bool
) -> tuple[list[str], list[str]]:
    """Write the figures' files and the manifest below `output`; what would not change is not touched.

    `everything`: nothing restricted what was rendered. Files of figures that the old manifest lists and that can no
    longer be rendered are then removed, with their entries; otherwise other entries are kept. A figure's files of
    formats that were not asked for now stay if they were made from the same results, and are removed if not.
    Returns the written and the removed files, below `output`.
    """
    old = read(output)
    new = Manifest() if everything else Manifest(dict(old.figures), dict(old.missing))
    written = []
    for one in rendered:
        key = f"{one.place}/{one.name}"
        for name, content in one.files.items():
            if _write(output / one.place / name, content):
                written.append(f"{one.place}/{name}")
        new.figures[key] = _entry(one, old.figures.get(key))
        new.missing.pop(key, None)
    new.missing |= {key: reason for key, reason in missing.items() if key not in new.figures}
    listed = set(_files(new))
    removed = [name for name in _files(old) if name not in listed and _remove(output, name)]
    document = {"figures": new.figures, "missing": new.missing}
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    if _write(output / NAME, text.encode()):
        written.append(NAME)
    return written, removed


def _entry(one: Exported, before: dict[str, Any] | None) -> dict[str, Any]:
    entry = {
        "title": one.title,
        "paper": one.paper,
        "caption": one.caption,
        "notes": one.notes,
        "files": sorted(one.files),
        "matplotlib": one.matplotlib,
        "sources": one.sources,
    }
    same = before is not None and all(before.get(what) == entry[what] for what in ("sources", "matplotlib", "caption"))
    if before is not None and same:
        entry["files"] = sorted({*one.files, *before["files"]})
    return entry


def _files(manifest: Manifest) -> list[str]:
    return [f"{key.rpartition('/')[0]}/{name}" for key, entry in manifest.figures.items() for name in entry["files"]]


def _remove(output: Path, name: str) -> bool:
    """Remove a file that the manifest names, if it is below `output` and there."""
    path = output / name
    if not path.resolve().is_relative_to(output.resolve()) or not path.is_file():
        return False
    path.unlink()
    for folder in (path.parent, path.parent.parent):
        if folder != output and not any(folder.iterdir()):
            folder.rmdir()
    return True


def _write(path: Path, content: bytes) -> bool:
    """Write the file whole unless it holds just that; whether it was written."""
    try:
        if path.read_bytes() == content:
            return False
    except FileNotFoundError:
        pass
    write_whole(path, content)
    return True
