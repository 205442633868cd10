"""What publishers measured over what their models cost."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

PICTURES = (".svg", ".png", ".pdf")
COSTS = (("multiply_adds", 1e9, "multiply-adds of one sample (G)"), ("parameters", 1e6, "parameters (M)"))
WIDTH_PT, HEIGHT_PT = 520, 420
"""Of a diagram, of which a point is 1/72 inch."""
LETTER_PT, LINE_PT = 3.8, 7
"""How wide a letter of a name is, at most, and how far apart lines of names are."""


class Published(NamedTuple):
    """A model with the top-1 of its official weights, in percent, and what one sample costs."""

    name: str
    family: str
    top1: float
    multiply_adds: int
    parameters: int


def accuracy_over_costs(shown: Mapping[str, Sequence[Published]], path: Path) -> None:
    """Draw a row of two diagrams for each data set of `shown`: top-1 over multiply-adds, and over parameters.

    A family has one colour, a point the model's name. The file is the same for the same numbers.
    """
    families = sorted({one.family for row in shown.values() for one in row})
    figure = Figure(figsize=(2 * WIDTH_PT / 72 + 1, (HEIGHT_PT / 72 + 0.7) * len(shown)), layout="constrained")
    for number, (title, row) in enumerate(shown.items()):
        colours = [f"C{families.index(one.family) % 10}" for one in row]
        for column, (field, unit, label) in enumerate(COSTS):
            axes = figure.add_subplot(len(shown), 2, 2 * number + column + 1)
            costs = [getattr(one, field) / unit for one in row]
            _scatter(axes, costs, [one.top1 for one in row], [one.name for one in row], colours)
            axes.set(xlabel=label, ylabel="published top-1 (%)", title=title)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "published"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def raised(places: Sequence[tuple[float, float]], names: Sequence[str]) -> list[float]:
    """Return how far above its place each name is written so that no two overlap; all in points, 1/72 inch."""
    heights = [0.0] * len(places)
    written: list[tuple[float, float, float]] = []
    for i in sorted(range(len(places)), key=lambda i: places[i][1]):
        (left, height), width = places[i], LETTER_PT * len(names[i])
        for start, end, level in sorted(written, key=lambda one: one[2]):
            if left < end and start < left + width and abs(level - height) < LINE_PT:
                height = level + LINE_PT
        written.append((left, left + width, height))
        heights[i] = height - places[i][1]
    return heights


def _scatter(axes: Axes, x: Sequence[float], y: Sequence[float], names: Sequence[str], colours: Sequence[str]) -> None:
    """Draw named points on a logarithmic axis that has a mark at every 1, 2 and 5 of a decade."""
    logs = [math.log10(value) for value in x]
    left, right = min(logs) - 0.1, max(logs) + 0.4  # room for the last name
    bottom, top = min(y) - 1, max(y) + 1 + (max(y) - min(y)) / 10
    axes.set(xscale="log", xlim=(10**left, 10**right), ylim=(bottom, top))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.scatter(x, y, s=16, c=list(colours))
    across, up = WIDTH_PT / (right - left), HEIGHT_PT / (top - bottom)
    places = [(log * across, value * up) for log, value in zip(logs, y, strict=True)]
    for point, name, height, colour in zip(zip(x, y, strict=True), names, raised(places, names), colours, strict=True):
        axes.annotate(
            name,
            point,
            xytext=(5, height - 2),
            textcoords="offset points",
            fontsize=6,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 0},
        )
