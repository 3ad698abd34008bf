"""The main tables: every method's scores, losses and cost, as `adept-bench show` has them, and the paper's tables."""

from __future__ import annotations

from adept_bench.analysis.render import Block, blocks, footnotes
from adept_bench.report.markup import Safe, folded, items, join, paragraphs, table, tag
from adept_bench.report.material import Material, Pair
from adept_bench.report.sections.figures import figure

OPEN_GROUPS = ("general", "domain")


def render(material: Material) -> Safe:
    """For each (preset, suite): general and domain scores; the paper's tables; other groups, losses and cost folded."""
    return join(tag("section", *_pair(pair), aria_labelledby=f"tables-{pair.anchor}") for pair in material.pairs)


def _pair(pair: Pair) -> list[Safe]:
    parts = [tag("h3", pair.title, id=f"tables-{pair.anchor}")]
    if pair.compared is None:
        parts += [paragraphs("The results of this comparison cannot be put into one table; see what is missing.")]
    else:
        found, groups = blocks(pair.compared), pair.compared["groups"]
        scores = dict(zip(groups, found, strict=False))
        first = [scores[name] for name in OPEN_GROUPS if name in scores]
        rest = [block for block in found if block not in first]
        parts += [_block(block) for block in first]
        parts += [tag("div", items(footnotes(pair.compared)), class_="notes")]
        if rest:
            names = ", ".join(block.title.split(":")[0].split(",")[0] for block in rest)
            parts += [folded(f"More of {pair.title}: {names}", *map(_block, rest))]
    return parts + [figure(pair, shown) for shown in pair.shown if shown.image is None]


def _block(block: Block) -> Safe:
    return table(block.title, block.header, block.rows)
