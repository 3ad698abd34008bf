"""Fill the marked blocks of README.md and docs/*.md from the stored results: python docs/fill.py [--check]

`<!-- file: PATH -->` takes a file's content, `<!-- output: ARGUMENTS -->` what `adept-bench ARGUMENTS` prints in the
checkout; a block ends with `<!-- end -->`. With --check nothing is written, and the exit code is 1 where a file would
change.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- (file|output): (.+?) -->\n)(.*?)(<!-- end -->)", re.S)


def content(kind: str, what: str) -> str:
    """What a block holds. Raises CalledProcessError and OSError as they come."""
    if kind == "file":
        return (ROOT / what).read_text(encoding="utf-8")
    call = [sys.executable, "-m", "adept_bench", *shlex.split(what)]
    return subprocess.run(call, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def filled(text: str) -> str:
    """`text` with every block filled."""
    return BLOCK.sub(lambda found: f"{found[1]}{content(found[2], found[3]).strip()}\n{found[5]}", text)


def main() -> int:
    """Fill or check all files; returns the exit code."""
    stale = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        if (new := filled(text)) != text:
            stale.append(path.relative_to(ROOT))
            if "--check" not in sys.argv:
                path.write_text(new, encoding="utf-8")
    for path in stale:
        print(path)
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
