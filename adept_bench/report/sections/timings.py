"""What `bench` measured on models of a shape with random weights: a table of all, and a figure a device and shape."""

from __future__ import annotations

from adept_bench.figures import timing
from adept_bench.report.markup import Safe, folded, join, paragraphs, table, tag
from adept_bench.report.material import Material, Timed
from adept_bench.report.sections.figures import numbers_table, picture


def render(material: Material) -> Safe:
    """One table of every timing, then the figures."""
    if not material.timed:
        return paragraphs("No timing of bench is among these results.")
    numbers = timing.table([one for timed in material.timed for one in timed.timings])
    reading = (
        "Step time is the median over steps; a dash: no stated peak is known of the device, or the method does not "
        "probe. Seconds of the results above are another thing: whole cells, on the machine they ran on."
    )
    figures = (_figure(timed, number) for number, timed in enumerate(material.timed))
    return join([numbers_table(numbers, "What bench measured"), paragraphs(reading), *figures])


def _figure(timed: Timed, number: int) -> Safe:
    parts = [picture(timed.image, timed.caption, timed.title)] if timed.image is not None else []
    caption = tag("p", tag("strong", f"{timed.title} (paper: Table 6). "), timed.caption)
    hashes = table("Timings", ["file", "SHA-256"], [[place, _hash(value)] for place, value in timed.files.items()])
    count = len(timed.files)
    files = folded(f"From {count} timing{'' if count == 1 else 's'}", hashes)
    return tag("figure", *parts, tag("figcaption", caption, files), id=f"timing-{number}")


def _hash(value: str) -> Safe:
    return tag("code", value, class_="hash")
