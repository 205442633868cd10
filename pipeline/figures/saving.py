"""A matplotlib figure as a file: PNG for people, SVG for a page."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text

from pipeline.figures.fonts import families

INK = "#000000"
GROUP_ID = re.compile(r'<g id="[^"]*"')
"""Names that every figure has, and nothing refers to."""


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG. Its texts are names: a `$` begins no formula, and each letter finds a font that has it.

    Nothing may lay out the figure before; what has a `layout` is laid out here.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _fonts_of(figure):
        FigureCanvasAgg(figure).print_png(str(path))


def chart(figure: Figure, path: Path) -> None:
    """Write a figure without pictures as a PNG and, beside it, as an SVG for a page, see `svg`."""
    save(figure, path)
    path.with_suffix(".svg").write_text(svg(figure, path.stem), encoding="utf-8")


def svg(figure: Figure, name: str) -> str:
    """Return a figure as an `<svg>` that takes part in a page: without a ground, and black in the page's ink.

    name: another one for each figure of a page, for its inner references
    """
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_alpha(0)
    file = io.StringIO()
    with _fonts_of(figure), rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    return GROUP_ID.sub("<g", text[text.index("<svg") :]).replace(INK, "currentColor")


@contextmanager
def _fonts_of(figure: Figure) -> Iterator[None]:
    """Give texts the fonts that have their letters; also ticks, which are made as they are drawn."""
    texts = figure.findobj(Text)
    fonts = families("".join(text.get_text() for text in texts))
    for text in texts:
        text.set(parse_math=False, fontfamily=fonts)
    with rc_context({"text.parse_math": False, "font.family": fonts}):
        yield
