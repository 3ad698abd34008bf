"""Where the numbers come from: code, versions, machines, dates, and the files with their hashes."""

from __future__ import annotations

from collections import Counter

from adept_bench.report.markup import Safe, folded, items, join, paragraphs, table, tag
from adept_bench.report.material import Material
from adept_bench.results.schema import Cell


def render(material: Material) -> Safe:
    """A row for every way in which results were made, one for every set of versions, and all files."""
    cells = material.cells
    first, last = min(cell.provenance.started for cell in cells), max(cell.provenance.ended for cell in cells)
    hours = sum(cell.cost.train_seconds + cell.cost.probe_seconds + cell.cost.eval_seconds for cell in cells) / 3600
    about = (
        f"{_counted(len(cells))}, made from {_minute(first)} to {_minute(last)}. Training, probing and evaluation took "
        f"{hours:.1f} hours in all, as each result counts them: what they share, as the base's probes, is in each."
    )
    made = Counter(map(_made, cells))
    header = ["git revision", "package", "python", "device", "processes", "results"]
    versions = Counter(_versions(cell) for cell in cells)
    files = [[file.name, tag("code", file.hash, class_="hash")] for file in material.files]
    return join(
        [
            paragraphs(about),
            table("Code and machines", header, [[*how, count] for how, count in sorted(made.items())]),
            tag("h3", "Versions"),
            items(f"{_counted(count)}: {one}" for one, count in sorted(versions.items())),
            folded(
                f"All {len(files)} result files with the SHA-256 of their bytes",
                table("Result files", ["file", "SHA-256"], files),
            ),
        ]
    )


def _made(cell: Cell) -> tuple[str, str, str, str, str]:
    one = cell.provenance
    revision = (one.git_revision or "not known") + (" with changes" if one.git_dirty else "")
    return revision, one.package_version, one.python, one.device, str(one.processes)


def _counted(number: int) -> str:
    return f"{number} result{'' if number == 1 else 's'}"


def _minute(moment: str) -> str:
    """An ISO time of UTC to the minute; anything else as it is."""
    return f"{moment[:10]} {moment[11:16]} UTC" if moment[10:11] == "T" and moment.endswith(("Z", "+00:00")) else moment


def _versions(cell: Cell) -> str:
    return ", ".join(f"{name} {version or 'none'}" for name, version in sorted(cell.provenance.versions.items()))
