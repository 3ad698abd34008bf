"""Fill the marked blocks of README.md and docs/*.md from the stored results: python docs/fill.py [--check]

`<!-- file: PATH -->` takes a file's content, `<!-- output: ARGUMENTS -->` what `adept-bench ARGUMENTS` prints in the
checkout; a block ends with `<!-- end -->`. Within a line, `<!-- gain: PRESET METHOD MEASURE -->` takes a number of the
figures `gains` and `gains_variants` of suite medical: a mean with its 95% interval; MEASURE is one of `GAINS`, with
`bare` behind it the mean alone; or `best`, the best domain accuracy. With --check nothing is written, and the exit code
is 1 where a file would change.
"""

from __future__ import annotations

import csv
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- (file|output): (.+?) -->\n)(.*?)(<!-- end -->)", re.S)
INLINE = re.compile(r"(<!-- gain: (\S+) (\S+) (\S+)( bare)? -->).*?(<!-- end -->)", re.S)
GAINS = {  # measure, what is held equal, factor, decimals
    "kept": ("accuracy", "acquisition", 100, 1),
    "learned": ("accuracy", "retention", 100, 1),
    "statements": ("statement", "acquisition", 100, 1),
    "loss": ("loss", "acquisition", 1, 2),
}


def content(kind: str, what: str) -> str:
    """What a block holds. Raises CalledProcessError and OSError as they come."""
    if kind == "file":
        return (ROOT / what).read_text(encoding="utf-8")
    call = [sys.executable, "-m", "adept_bench", *shlex.split(what)]
    return subprocess.run(call, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def gain(preset: str, method: str, measure: str, bare: bool) -> str:
    """A number of the figures, in words. Raises StopIteration where they do not have it."""
    of, held, factor, digits = GAINS.get(measure, ("accuracy", "", 100, 0))
    folder = ROOT / "figures" / preset / "medical"
    paths = [path for path in (folder / "gains.csv", folder / "gains_variants.csv") if path.is_file()]
    rows = [row for path in paths for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())]
    wanted = {"measure": of, "held": held, "method": method, "at": "range" if held else measure, "seed": ""}
    row = next(row for row in rows if wanted.items() <= row.items())
    if not held:
        return f"{factor * float(row['difference']):.{digits}f}%"

    def signed(name: str) -> str:
        return f"{factor * float(row[name]):+.{digits}f}".replace("-", "−")

    return signed("difference") if bare else f"{signed('difference')} [{signed('low')}, {signed('high')}]"


def filled(text: str) -> str:
    """`text` with every block filled."""
    text = BLOCK.sub(lambda found: f"{found[1]}{content(found[2], found[3]).strip()}\n{found[5]}", text)
    return INLINE.sub(lambda found: f"{found[1]}{gain(found[2], found[3], found[4], bool(found[5]))}{found[6]}", text)


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
