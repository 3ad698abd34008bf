"""A figure as a picture inside the page: SVG, which stays sharp at any size, or PNG where that would be much larger."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from adept_bench.figures.export import encode as encoded
from adept_bench.figures.style import look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGE = 150_000  # bytes of an SVG beyond which a PNG is taken, if smaller: some 70 figures then fit in 12 MB
DPI = 150  # of a PNG; a page shows it at 96
CSS_DPI = 96
# what may stand in a data: URI inside quotes; "#" would end it, "%" and markup characters are written in hex
PLAIN = " /:=,;()'.-_~!*[]{}@$+?^|`"


@dataclass(frozen=True)
class Image:
    """An encoded picture; `width` and `height` in CSS pixels, at print size."""

    kind: str
    """Its media type."""
    data: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """As the `src` of an img element: nothing is fetched, and nothing in it can run."""
        if self.kind == "image/svg+xml":
            # a line's end would be dropped from a URI, and is white space in SVG; base64 would be a fifth longer
            text = self.data.decode("utf-8").replace("\n", " ")
            return f"data:{self.kind};charset=utf-8,{quote(text, safe=PLAIN)}"
        return f"data:{self.kind};base64,{base64.b64encode(self.data).decode('ascii')}"


def encode(figure: Figure) -> Image:
    """`figure` as an `Image`; the same bytes for the same figure."""
    from matplotlib import rcParams

    width, height = (round(inches * CSS_DPI) for inches in figure.get_size_inches())
    with look():
        rcParams["savefig.dpi"] = DPI
        vector = encoded(figure, "svg")
        raster = encoded(figure, "png") if len(vector) > LARGE else vector
    if len(raster) < len(vector):
        return Image("image/png", raster, width, height)
    return Image("image/svg+xml", vector, width, height)
