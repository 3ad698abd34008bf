"""A figure's files: pictures whose bytes depend on the results alone, numbers as CSV, tables as Markdown and LaTeX."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adept_bench import escapes
from adept_bench.errors import InputError
from adept_bench.figures.base import Drawing, FigureKind
from adept_bench.figures.collect import Pair, source
from adept_bench.figures.style import look
from adept_bench.figures.tabular import as_csv, as_latex, as_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
DEFAULT_FORMATS = ("png", "svg")


@dataclass(frozen=True)
class Exported:
    """One figure of one (preset, suite), as bytes. `files`: content by file name."""

    name: str
    place: str
    title: str
    paper: str
    caption: str
    notes: list[str]
    sources: dict[str, str]
    """SHA-256 of each result file it was made from, by its place below the results folder."""
    files: dict[str, bytes]
    matplotlib: str


def export(kind: FigureKind, pair: Pair, formats: tuple[str, ...] = DEFAULT_FORMATS) -> Exported:
    """Draw `kind` from the pair's cells and encode it in each of `formats`.

    Raises MissingError where the cells do not hold what it needs, another InputError where they cannot be compared.
    """
    import matplotlib

    drawing = kind.draw(pair.cells)
    sources = _sources(drawing, pair)
    files = {"csv": as_csv(drawing.data).encode()}
    if drawing.shown is not None:
        label = f"{pair.preset}-{pair.suite}-{kind.name}"
        files["md"] = as_markdown(drawing.shown, drawing.caption).encode()
        files["tex"] = as_latex(drawing.shown, drawing.caption, label).encode()
    if drawing.figure is not None:
        title = f"{drawing.title or kind.title}, {pair.suite} on {pair.preset}"
        described = f"{drawing.caption} Made by adept-bench from: {', '.join(sources)}"
        with look():
            files |= {format: encode(drawing.figure, format, title, described) for format in formats}
    return Exported(
        name=kind.name,
        place=pair.place,
        title=drawing.title or kind.title,
        paper=kind.paper,
        caption=drawing.caption,
        notes=list(drawing.notes),
        sources=sources,
        files={f"{kind.name}.{ending}": files[ending] for ending in sorted(files)},
        matplotlib=matplotlib.__version__,
    )


def _sources(drawing: Drawing, pair: Pair) -> dict[str, str]:
    names = sorted(source(cell) for cell in drawing.cells)
    if unknown := [name for name in names if name not in pair.hashes]:
        raise InputError(f"drawn from {unknown[0]}, which is not among the cells of {pair.place}")
    return {name: pair.hashes[name] for name in names}


def encode(figure: Figure, format: str, title: str = "", description: str = "") -> bytes:
    """The picture's bytes ("png", "svg" or "pdf"): the same for the same figure, on any day. Call it inside `look`.

    The layout must be as it is to be (a figure of the registry, or `lay_out`): it is not computed again.
    """
    out = io.BytesIO()
    title, description = escapes.line(title), escapes.line(description)
    # the canvases themselves: `savefig` would draw everything once more to lay it out
    if format == "png":
        return _png(figure, title, description)
    if format == "svg":
        from matplotlib.backends.backend_svg import FigureCanvasSVG

        about = {"Date": None, "Creator": None, "Title": title, "Description": description}
        FigureCanvasSVG(figure).print_svg(out, metadata=about)
        return escapes.xml(out.getvalue().decode("utf-8")).encode("utf-8")  # matplotlib comments each text as it is
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    about = {"CreationDate": None, "Creator": None, "Producer": None, "Title": title, "Subject": description}
    FigureCanvasPdf(figure).print_pdf(out, metadata=about)
    return out.getvalue()


def _png(figure: Figure, title: str, description: str) -> bytes:
    """With a palette of 256 colours, which these pictures can do with: less than half as large."""
    from matplotlib import rcParams
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    before, dpi = figure.dpi, float(rcParams["savefig.dpi"])
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    size = canvas.get_width_height(physical=True)
    image = Image.frombuffer("RGBA", size, canvas.buffer_rgba(), "raw", "RGBA", 0, 1).convert("RGB")
    figure.set_dpi(before)
    information = PngInfo()
    information.add_text("Title", title)
    information.add_text("Description", description)
    # median cut keeps the colours of large areas, those of methods and the white, as they are
    small = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    out = io.BytesIO()
    small.save(out, "png", compress_level=6, pnginfo=information, dpi=(dpi, dpi))
    return out.getvalue()
