"""Figures that a person wants to look at, each from arrays to a PNG file.

Drawn with matplotlib's object API (Figure and FigureCanvasAgg): pyplot keeps global state and wants a display.
"""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.figures.drawing import Drawing
from pipeline.figures.fonts import drawable
from pipeline.figures.saving import chart, save

DPI = 120
MAX_STRIP_FRAMES = 8
MAX_NAMED_CLASSES = 40  # beyond, names on the axes of a confusion matrix run into each other
MAX_COUNTED_CLASSES = 15  # beyond, counts do not fit into its cells
MAX_NAME = 24
LETTERS_PER_IN = 13  # of 8 point type
SHEET_IN, GAP_IN = 15, 0.1
MAX_LINES = 4  # of what happened to a sample
RIGHT, WRONG = "#1a7f37", "#cf222e"


def augmentation_sheet(samples: Sequence[Sequence[tuple[np.ndarray, str]]], path: Path) -> None:
    """Draw what becomes of samples: a column each, its states below each other, each with what it is.

    A state is uint8 [H, W, 3], or a clip [T, H, W, 3] as a film strip of <= 8 frames; all samples have as many states.
    """
    shown = [[(film_strip(pixels), text) for pixels, text in states] for states in samples]
    columns = min(len(samples), 2 if samples[0][0][0].ndim == 4 else 8)
    width_in = SHEET_IN / columns
    letters = int(width_in * LETTERS_PER_IN)
    rows = [
        [states[number] for states in shown[first : first + columns]]
        for first in range(0, len(shown), columns)
        for number in range(len(shown[0]))
    ]
    texts = [[textwrap.wrap(drawable(text), letters)[:MAX_LINES] for _, text in row] for row in rows]
    heights = [max(image.shape[0] / image.shape[1] for image, _ in row) * (width_in - GAP_IN) for row in rows]
    # More room between samples than between the states of one.
    gaps = [(3 if place and place % len(shown[0]) == 0 else 1) * GAP_IN for place in range(len(rows))]
    titles = [0.15 * max(map(len, row)) + gap for row, gap in zip(texts, gaps, strict=True)]
    figure = Figure(figsize=(SHEET_IN, top := sum(heights) + sum(titles) + GAP_IN), dpi=DPI)
    whole = top
    for row, lines, height, title in zip(rows, texts, heights, titles, strict=True):
        top -= title + height
        for column, ((image, _), text) in enumerate(zip(row, lines, strict=True)):
            left = column * width_in + GAP_IN / 2
            box = (left / SHEET_IN, top / whole, (width_in - GAP_IN) / SHEET_IN, height / whole)
            axes = figure.add_axes(box, anchor="N")
            axes.imshow(image, interpolation="nearest" if image.shape[0] < 100 else "antialiased")
            axes.set_axis_off()
            axes.set_title("\n".join(text), fontsize=8, pad=3)
    save(figure, path)


def predictions(shown: Sequence[Drawing], path: Path) -> None:
    """Draw samples with what the model predicted, green when right, red when wrong, and what they are called.

    In the order to show: best ones or worst.
    """
    colours = {True: RIGHT, False: WRONG, None: "black"}
    strips, words = [film_strip(one.pixels) for one in shown], [one.words for one in shown]
    _sheet(strips, words, [one.name for one in shown], [colours[one.right] for one in shown], path)


def learning_rate_curve(steps: Sequence[int], lrs: Sequence[float], path: Path) -> None:
    """Draw the learning rate over optimizer steps."""
    figure = _figure(7, 3.5)
    axes = figure.add_subplot()
    axes.plot(steps, lrs, color="tab:blue")
    axes.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    _tidy(axes)
    save(figure, path)


Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Steps and values by name."""


def curves(series: Series, path: Path) -> None:
    """Draw metrics over optimizer steps, `{name: (steps, values)}`, one panel for each last part of the names.

    `train/loss` and `val/loss` share the panel `loss`; NaN and infinities leave a gap.
    """
    save(panels(series), path)


def panels(series: Series, of: Callable[[str], str] = lambda name: name.rpartition("/")[2]) -> Figure:
    """Make the figure of `curves`; `of` tells the panel of a name."""
    shared: dict[str, list[str]] = {}
    for name in series:
        shared.setdefault(of(name), []).append(name)
    columns = min(2, max(1, len(shared)))
    rows = max(1, math.ceil(len(shared) / columns))
    figure = _figure(5.5 * columns, 3.4 * rows)
    for place, (panel, names) in enumerate(shared.items(), start=1):
        axes = figure.add_subplot(rows, columns, place)
        for name in names:
            steps, values = series[name]
            finite = np.where(np.isfinite(values), values, np.nan)
            axes.plot(steps, finite, label=name, marker="o" if len(steps) <= 30 else None, markersize=3.5)
        axes.set(xlabel="step", ylabel=panel)
        if len(names) > 1 or names[0] != panel:
            axes.legend(frameon=False, fontsize=8)
        _tidy(axes)
    return figure


def reliability(count: np.ndarray, confidence: np.ndarray, accuracy: np.ndarray, path: Path) -> None:
    """Draw how often answers of a confidence are right, and how many there are; [bins] each.

    Where all was as it says, they would lie on the line.
    """
    figure = _figure(5, 5)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    axes.plot([0, 1], [0, 1], color="0.5", linewidth=1)
    axes.bar(confidence, accuracy, width=0.05, color="tab:blue", alpha=0.5)
    axes.plot(confidence, accuracy, color="tab:blue", marker="o", markersize=3.5)
    axes.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    below.bar(confidence, count, width=0.05, color="0.5")
    below.set(xlabel="confidence", ylabel="answers")
    for each in (axes, below):
        each.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    chart(figure, path)


def confusion_matrix(
    counts: np.ndarray, samples: np.ndarray, classes: Sequence[str], path: Path, title: str = ""
) -> None:
    """Draw how often each true class (row) was taken for each class (column): `counts` int [K, K].

    Colours are shares of the true class' `samples` int [K]: the classes may be some of many. Counts stand in the cells
    of up to 15 classes, names on the axes of up to 40.
    """
    num_classes = len(classes)
    share = counts / np.maximum(samples[:, None], 1)
    side = float(np.clip(0.32 * num_classes + 2.5, 4.5, 12))
    figure = Figure(figsize=(side + 1, side), dpi=DPI, layout="compressed")  # as the matrix is square
    axes = figure.add_subplot(title=title)
    # Among many classes the errors are thinly spread: the root of the share makes them visible.
    norm = PowerNorm(1.0 if num_classes <= MAX_COUNTED_CLASSES else 0.5, vmin=0, vmax=1)
    image = axes.imshow(share, cmap="Blues", norm=norm, interpolation="nearest")
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046, pad=0.03)
    axes.set(xlabel="predicted", ylabel="true")
    if num_classes <= MAX_NAMED_CLASSES:
        names = [_short(name) for name in classes]
        axes.set_xticks(range(num_classes), names, rotation=45 if max(map(len, names)) > 3 else 0, fontsize=8)
        for label in axes.get_xticklabels():
            label.set(horizontalalignment="right" if label.get_rotation() else "center", rotation_mode="anchor")
        axes.set_yticks(range(num_classes), names, fontsize=8)
    else:
        axes.set(xlabel="predicted class number", ylabel="true class number")
    if num_classes <= MAX_COUNTED_CLASSES:
        for row, column in np.ndindex(*counts.shape):
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=colour, fontsize=8)
    save(figure, path)


def class_bars(values: np.ndarray, samples: np.ndarray, classes: Sequence[str], what: str, path: Path) -> None:
    """Draw a share 0..1 for each class as a bar, the best on top, behind its name the samples it was measured on.

    `values` float [K] (NaN: not measured, left out), `samples` int [K]. Of more than 40 classes only the curve.
    """
    order = [int(i) for i in np.argsort(values, kind="stable") if not np.isnan(values[i])]
    figure = _figure(7, 3.5 if len(order) > MAX_NAMED_CLASSES else max(2.0, 0.25 * len(order) + 1))
    axes = figure.add_subplot()
    if len(order) > MAX_NAMED_CLASSES:
        axes.plot(range(1, len(order) + 1), values[order[::-1]], color="tab:blue")
        axes.set(xlabel="classes, best first", ylabel=what, ylim=(0, 1.02))
        _tidy(axes)
    else:
        names = [f"{_short(classes[i])} ({samples[i]})" for i in order]
        axes.barh(range(len(order)), values[order], tick_label=names, color="tab:blue")
        axes.set(xlabel=what, xlim=(0, 1))
        axes.spines[["top", "right"]].set_visible(False)
    chart(figure, path)


def gains(before: np.ndarray, after: np.ndarray, x: str, y: str, path: Path) -> None:
    """Draw a score of each sample [n] after something over the one before; above the line it was of use."""
    figure = _figure(5, 5)
    axes = figure.add_subplot()
    ends = [float(min(before.min(), after.min())), float(max(before.max(), after.max()))]
    axes.plot(ends, ends, color="0.7", linewidth=1)
    axes.scatter(before, after, s=12, color="tab:blue")
    axes.set(xlabel=x, ylabel=y)
    _tidy(axes)
    chart(figure, path)


def _sheet(
    images: Sequence[np.ndarray], titles: Sequence[str], names: Sequence[str], colours: Sequence[str], path: Path
) -> None:
    """Draw images of one size in a grid, each under its title and, where it has one, the end of its name."""
    height, width = images[0].shape[:2]
    columns = _columns(len(images), height / width)
    rows = math.ceil(len(images) / columns)
    cell_width = max(1.9, min(9.0, 14 / columns, 1.6 * width / height))
    title_height = 0.16 * (max(title.count("\n") + 1 for title in titles) + any(names)) + 0.1
    figure = _figure(cell_width * columns, (cell_width * height / width + title_height) * rows)
    letters = int(cell_width * LETTERS_PER_IN)
    for place, (image, title, name, colour) in enumerate(zip(images, titles, names, colours, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, place)
        axes.imshow(image, interpolation="nearest" if height < 100 else "antialiased")
        axes.set_axis_off()
        lines = [_short(line, letters) for line in title.split("\n")] + ([_end(name, letters)] if name else [])
        axes.set_title("\n".join(lines), fontsize=8, color=colour, pad=3)
    save(figure, path)


def _columns(num_images: int, height_to_width: float) -> int:
    """Return the number of columns that gives a grid of about 4:3 with few empty places."""

    def badness(columns: int) -> float:
        rows = math.ceil(num_images / columns)
        empty = (rows * columns - num_images) / num_images
        return abs(math.log(columns / (rows * (height_to_width + 0.05)) / 1.33)) + 2 * empty  # 0.05: the title

    return min(range(1, num_images + 1), key=badness)


def film_strip(sample: np.ndarray) -> np.ndarray:
    """Return a clip [T, H, W, 3] as one image, its frames (evenly picked, 8 at most) side by side.

    An image as it is.
    """
    if sample.ndim == 3:
        return sample
    picked = np.linspace(0, len(sample) - 1, min(len(sample), MAX_STRIP_FRAMES)).round().astype(int)
    gap = np.full((sample.shape[1], max(1, sample.shape[2] // 40), 3), 255, dtype=np.uint8)
    parts = [part for frame in sample[picked] for part in (frame, gap)]
    return np.concatenate(parts[:-1], axis=1)


def _short(text: str, letters: int = MAX_NAME) -> str:
    text = drawable(text)
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _end(text: str, letters: int) -> str:
    text = drawable(text)
    return text if len(text) <= letters else f"…{text[1 - letters :]}"


def _figure(width_in: float, height_in: float) -> Figure:
    return Figure(figsize=(width_in, height_in), dpi=DPI, layout="constrained")


def _tidy(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
