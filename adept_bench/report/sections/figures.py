"""The figures, each with its caption, the paper's figure it answers to and the result files it was made from."""

from __future__ import annotations

from adept_bench.analysis.table import methods_in_order
from adept_bench.figures.base import Table, Value
from adept_bench.figures.tabular import Best, Second
from adept_bench.report.drawn import Shown
from adept_bench.report.images import Image
from adept_bench.report.markup import Safe, folded, items, join, paragraphs, scrolling, table, tag
from adept_bench.report.material import Material, Pair


def render(material: Material) -> Safe:
    """For each (preset, suite) every figure that its cells allow."""
    return join(tag("section", *_pair(pair), aria_labelledby=f"figures-{pair.anchor}") for pair in material.pairs)


def _pair(pair: Pair) -> list[Safe]:
    pictures = [figure(pair, shown) for shown in pair.shown if shown.image is not None]
    nothing = paragraphs("No figure can be drawn from these results; see what is missing.")
    return [tag("h3", pair.title, id=f"figures-{pair.anchor}"), *(pictures or [nothing])]


def figure(pair: Pair, shown: Shown) -> Safe:
    """A picture or a table with its caption, or both."""
    name = f"{shown.title}, {pair.title}"
    parts = []
    if shown.image is not None:
        parts.append(picture(shown.image, shown.caption, name))
    if shown.table is not None:
        numbers = numbers_table(shown.table, name)
        parts.append(folded("The same as a table", numbers) if parts else numbers)
    parts.append(_caption(pair, shown))
    return tag("figure", *parts, id=f"{shown.name}-{pair.anchor}")


def numbers_table(content: Table, caption: str) -> Safe:
    """A figure's formatted table; the marks of the best and the second best become bold and underlined."""
    return table(caption, content.header, [[_marked(value) for value in row] for row in content.rows])


def _marked(value: Value) -> Value:
    """A cell as in `figures.tabular`: the best in bold, the second best underlined, numbers in four digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Best):
        return tag("strong", value)
    if isinstance(value, Second):
        return tag("u", value)
    return "–" if value is None else value


def picture(image: Image, caption: str, name: str) -> Safe:
    """A picture, described by its caption, that scrolls where it is too wide."""
    sized = tag("img", src=Safe(image.uri), alt=caption, width=image.width, height=image.height)
    return scrolling(sized, name)


def _caption(pair: Pair, shown: Shown) -> Safe:
    source = "" if shown.paper == "ours" else f" (paper: {shown.paper})"
    caption = tag("p", tag("strong", f"{shown.title}{source}. "), shown.caption)
    count = len(shown.sources)
    files = folded(f"From {count} result{'' if count == 1 else 's'}", paragraphs(*_sources(pair, shown)))
    return tag("figcaption", caption, items(shown.notes), files)


def _sources(pair: Pair, shown: Shown) -> list[str]:
    """The result files in few words, a line for all methods of the same seeds."""
    methods: dict[tuple[int, ...], list[str]] = {}
    for method in methods_in_order(method for method, _ in shown.sources):
        seeds = tuple(sorted({seed for name, seed in shown.sources if name == method}))
        methods.setdefault(seeds, []).append(method)
    return [
        f"{pair.preset}/{pair.suite}/, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))} of "
        f"{', '.join(names)}"
        for seeds, names in methods.items()
    ]
