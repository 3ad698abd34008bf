"""What was compared and what came out, in short; every number is computed from the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from adept_bench.analysis.paired import Estimate, group_mean, paired_difference
from adept_bench.claims.verdicts import VERDICTS
from adept_bench.claims.wording import by_preset, counts
from adept_bench.errors import InputError
from adept_bench.report.markup import Safe, join, paragraphs, table
from adept_bench.report.material import Material, Pair

METHOD, REFERENCE = "adept", "full"
GROUPS = ("domain", "general")


def render(material: Material) -> Safe:
    """What was compared; ADEPT beside full CPT in each comparison; the best of each; its cost; how the claims fare."""
    pairs = material.pairs
    compared = table(
        "What was compared",
        ["comparison", "seeds", "results", "training tokens", "methods"],
        [[pair.title, len(pair.seeds), len(pair.cells), _tokens(pair), ", ".join(pair.methods)] for pair in pairs],
        "words",
    )
    return join([compared, _headline(pairs), _costs(pairs), _verdicts(material)])


def _tokens(pair: Pair) -> str:
    return " and ".join(f"{one:,}" for one in sorted({cell.training.tokens for cell in pair.cells} - {0})) or "–"


def _headline(pairs: Sequence[Pair]) -> Safe:
    lines: list[list[str]] = []
    for pair in pairs:
        if rows := _rows(pair):
            lines += [[pair.title], *rows]
    if not lines:
        return paragraphs(f"No stored result of {METHOD} has a score.")
    header = ["score", METHOD, f"{METHOD} minus {REFERENCE}", "best method that trains"]
    reading = (
        "Accuracy in percent, mean over seeds; differences in points with their 95% interval, paired over items and "
        "seeds (with one seed: over items only)."
    )
    return join([table(f"{METHOD} beside {REFERENCE}", header, lines), paragraphs(reading)])


def _rows(pair: Pair) -> list[list[str]]:
    mine, reference = pair.of(METHOD), pair.of(REFERENCE)
    rows = []
    for group in GROUPS:
        score = _tried(partial(group_mean, mine, group)) if mine else None
        if score is None:
            continue
        difference = _tried(partial(paired_difference, mine, reference, group)) if reference else None
        rows.append([group, f"{100 * score.value:.1f}", _points(difference), _best(pair, group)])
    return rows


def _tried(compute: Callable[[], Estimate]) -> Estimate | None:
    try:
        return compute()
    except InputError:  # named with the comparison's notes
        return None


def _points(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{100 * estimate.value:+.1f}"
    return f"{100 * estimate.value:+.1f} [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"


def _best(pair: Pair, group: str) -> str:
    rows: list[dict[str, Any]] = pair.compared["rows"] if pair.compared else []
    scores = [
        (row["groups"][group]["mean"], row["method"]) for row in rows if row["tokens"] and row["groups"].get(group)
    ]
    if not scores:
        return "–"
    value, method = max(scores, key=lambda one: one[0])
    return f"{method} ({100 * value:.1f})"


def _costs(pairs: Sequence[Pair]) -> Safe:
    rows = []
    for pair in pairs:
        found = [row for row in pair.compared["rows"] if row["method"] == METHOD] if pair.compared else []
        rows += [
            [
                pair.title,
                f"{100 * row['trainable_fraction']:.1f}%",
                _ratio(row["train_seconds_ratio"]),
                _ratio(row["train_flops_ratio"]),
                f"{row['train_seconds']:.1f}",
                f"{row['probe_seconds']:.1f}",
            ]
            for row in found
        ]
    if not rows:
        return Safe("")
    header = ["comparison", "trains", f"time / {REFERENCE}", f"operations / {REFERENCE}", "training s", "probing s"]
    return table(f"What {METHOD} costs, means over seeds", header, rows)


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _verdicts(material: Material) -> Safe:
    if not material.claims:
        return paragraphs("No claim of the paper has been evaluated.")
    rows = [[name, *counts(rows).values()] for name, rows in by_preset(material.claims)]
    return table("Claims of the paper, by verdict", ["preset", *VERDICTS], rows)
