"""figures/ is exactly what the command renders from results/."""

import copy
import hashlib
import json
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import image

from adept_bench.__main__ import main

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "figures"
MANIFEST = json.loads((COMMITTED / "manifest.json").read_text(encoding="utf-8"))
DRAWN_WITH = {entry["matplotlib"] for entry in MANIFEST["figures"].values()}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The same command as the maintainers', on the committed results."""
    output = tmp_path_factory.mktemp("figures")
    assert main(["figures", "--results", str(ROOT / "results"), "--output", str(output), "--quiet"]) == 0
    return output


def _files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_same_files(rendered):
    assert _files(rendered) == _files(COMMITTED)


def test_the_manifest_has_the_hash_of_each_file():
    """What tells the command that it may replace them."""
    written = {
        f"{key.rpartition('/')[0]}/{name}": sha256
        for key, entry in MANIFEST["figures"].items()
        for name, sha256 in entry["files"].items()
    }
    assert written.keys() == _files(COMMITTED) - {"manifest.json"}
    for name, sha256 in written.items():
        assert hashlib.sha256((COMMITTED / name).read_bytes()).hexdigest() == sha256, name


NUMBER = re.compile(r"(?<![\w.])\d+(?:\.(\d+))?(?:e[+-]?\d+)?")


def _parted(text):
    """The text without its numbers, the numbers, and one of the last digit that each is written with."""
    found = list(NUMBER.finditer(text))
    digits = [10.0 ** -len(one[1]) if one[1] and "e" not in one[0] else 0.0 for one in found]
    return NUMBER.sub("#", text), [float(one[0]) for one in found], digits


def test_numbers_tables_and_sources_are_the_same(rendered):
    """But for the last digits: sums are not the same on every processor, and a table rounds what they give."""
    compared = [name for name in _files(COMMITTED) if name.endswith((".csv", ".md", ".tex"))]
    assert len(compared) > 30
    for name in compared:
        words, numbers, _ = _parted((rendered / name).read_text(encoding="utf-8"))
        stored_words, stored_numbers, last = _parted((COMMITTED / name).read_text(encoding="utf-8"))
        assert words == stored_words, name
        apart = np.abs(np.array(numbers) - np.array(stored_numbers))
        allowed = np.maximum(1e-6 * np.abs(stored_numbers), 1.01 * np.minimum(last, 0.1)) + 1e-12
        assert (apart <= allowed).all(), name
    again = json.loads((rendered / "manifest.json").read_text(encoding="utf-8"))
    stored = copy.deepcopy(MANIFEST)
    for manifest in (again, stored):
        for entry in manifest["figures"].values():
            entry.pop("matplotlib", None)
            entry["files"] = sorted(entry["files"])  # pictures are the same to the eye, and need not be to the byte
    assert again == stored


def test_pictures_are_the_same(rendered):
    if {matplotlib.__version__} != DRAWN_WITH:
        pytest.skip(f"drawn with matplotlib {', '.join(DRAWN_WITH)}; another version may set text otherwise")
    for name in sorted(name for name in _files(COMMITTED) if name.endswith(".png")):
        mine, theirs = image.imread(rendered / name), image.imread(COMMITTED / name)
        assert mine.shape == theirs.shape, name
        # fonts are rasterised by the machine's libraries: single pixels at the edges of letters may differ
        assert np.mean(np.abs(mine - theirs) > 0.1) < 0.002, name


def test_there_are_enough_and_each_names_its_results():
    assert len({name.rsplit("/", 1)[1] for name in MANIFEST["figures"]}) >= 12
    for entry in MANIFEST["figures"].values():
        assert entry["caption"]
        assert entry["sources"]
        for source in entry["sources"]:
            assert (ROOT / "results" / source).is_file()
