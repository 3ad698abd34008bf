"""The certificates of methods that insert layers: what was proven, for how many cells, and the worst that was seen."""

from __future__ import annotations

from collections.abc import Sequence

from adept_bench.report.markup import Safe, items, join, paragraphs, table, tag
from adept_bench.report.material import Material, Pair
from adept_bench.results.schema import Cell

ABOUT = (
    "A method that inserts copies must not change what the model computes before it trains, and must leave every "
    "original weight as it was. Each result of such a method holds a certificate of both, measured in that very run. A "
    "cell of the table counts the results for which it holds, of those where it was measured; beside it, the largest "
    "absolute difference of a logit and the largest share of the tolerance that it takes."
)
CHECKS = {
    "logits_equal": "same logits",
    "cached_decoding_equal": "same with a cache",
    "reload_equal": "same after saving and loading",
    "frozen_identical": "frozen weights bit-identical",
    "trainable_is_copies": "exactly the copies trained",
}
DIFFERENCES = ("max_logit_difference", "max_cached_difference", "max_reload_difference")


def render(material: Material) -> Safe:
    """One row a (preset, suite, method) with a certificate, and a line for every result that fails one."""
    groups = [(pair, method, _certified(pair, method)) for pair in material.pairs for method in pair.methods]
    groups = [(pair, method, cells) for pair, method, cells in groups if cells]
    if not groups:
        return paragraphs("No stored result holds an expansion certificate.")
    header = ["comparison, method", "results", *CHECKS.values(), "worst difference", "of the tolerance"]
    rows = [
        [f"{pair.title}: {method}", len(cells), *(_count(cells, name) for name in CHECKS), *_worst(cells)]
        for pair, method, cells in groups
    ]
    failed = [
        f"{pair.title}, {method}, seed {cell.seed}: not {words}"
        for pair, method, cells in groups
        for cell in cells
        for name, words in CHECKS.items()
        if (cell.certificate or {}).get(name) is False
    ]
    total = sum(len(cells) for _, _, cells in groups)
    failing = f"{len(failed)} check{' fails' if len(failed) == 1 else 's fail'}:" if failed else "no check fails."
    held = f"{total} result{' holds' if total == 1 else 's hold'} a certificate; {failing}"
    return join([paragraphs(ABOUT, held), items(failed), table("Certificates by method", header, rows, "words")])


def _certified(pair: Pair, method: str) -> list[Cell]:
    return [cell for cell in pair.of(method) if cell.certificate]


def _count(cells: Sequence[Cell], name: str) -> Safe | str:
    """How many of the cells that measured it hold it."""
    values = [value for cell in cells if isinstance(value := (cell.certificate or {}).get(name), bool)]
    if not values:
        return "–"
    shown = f"{sum(values)} of {len(values)}"
    return shown if all(values) else tag("span", f"{shown}, fails", class_="bad")


def _worst(cells: Sequence[Cell]) -> tuple[str, str]:
    """The largest difference of all, in logits, and the largest ratio of a difference to its cell's tolerance."""
    found = [
        (float(difference), (cell.certificate or {}).get("tolerance"))
        for cell in cells
        for name in DIFFERENCES
        if isinstance(difference := (cell.certificate or {}).get(name), int | float)
    ]
    if not found:
        return "–", "–"
    ratios = [value / limit for value, limit in found if isinstance(limit, int | float) and limit > 0]
    return f"{max(value for value, _ in found):.2g}", f"{100 * max(ratios):.2g}%" if ratios else "–"
