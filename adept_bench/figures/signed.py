"""What tells a figure's file from one of the user's: its name, and what the file says of itself."""

from __future__ import annotations

import html
import re
from pathlib import Path

MADE_BY = "Made by adept-bench from:"
LATEX = "% made by adept-bench figures;"
ENDINGS = ("csv", "md", "tex", "png", "svg", "pdf")
_BEGINNING = 100_000  # bytes of an SVG that its description is in


def is_figure_file(key: str, name: str) -> bool:
    """Whether `name` is what a file of the figure `key`, "preset/suite/name", is called, and stays in its folder."""
    parts = key.split("/")
    plain = len(parts) == 3 and all(part not in ("", ".", "..") for part in parts) and not set(key) & set("\\\0\n")
    return plain and name in {f"{parts[2]}.{ending}" for ending in ENDINGS}


def says_so(path: Path, caption: str = "") -> bool:
    """Whether the file says that this program made it; of a picture also where its description begins with `caption`.

    `path` is a regular file. CSV, Markdown and PDF say nothing. Raises OSError where it cannot be read.
    """
    if path.suffix == ".tex":
        return path.read_bytes().startswith(LATEX.encode())
    said = {".png": _of_png, ".svg": _of_svg}.get(path.suffix, lambda _: "")(path)
    return MADE_BY in said or bool(caption and said.startswith(caption))


def _of_png(path: Path) -> str:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return str(image.info.get("Description", ""))
    except Exception:  # a damaged picture, or none: Pillow raises anything
        return ""


def _of_svg(path: Path) -> str:
    with path.open("rb") as handle:
        text = handle.read(_BEGINNING).decode("utf-8", errors="replace")
    found = re.search(r"<dc:description>(.*?)</dc:description>", text, re.DOTALL)
    return html.unescape(found[1]) if found else ""
