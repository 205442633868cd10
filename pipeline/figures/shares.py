"""Figures of shares from 0 to 1: a line for each class, and bars beside each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipeline.figures.figures import DPI, MAX_NAME, chart
from pipeline.figures.fonts import drawable

MAX_NAMED_LINES = 10
"""Lines beyond these have the same colours again, so that names would tell nothing."""


def class_lines(
    x: np.ndarray,
    lines: Mapping[str, np.ndarray],
    whole: tuple[str, np.ndarray],
    axes_names: tuple[str, str],
    path: Path,
    at: float | None = None,
) -> None:
    """Draw a line [S] for each class over x [S] in 0..1, and the thick one of all classes together.

    axes_names: what x and y are; `at` marks an x. Of more than 10 classes the lines are grey and have no name.
    """
    figure = Figure(figsize=(7, 4.5), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    named = len(lines) <= MAX_NAMED_LINES
    for name, values in lines.items():
        style = {"label": _short(name)} if named else {"color": "0.75", "linewidth": 0.8}
        axes.plot(x, values, **style)
    axes.plot(x, whole[1], color="black", linewidth=2.5, label=whole[0])
    if at is not None:
        axes.axvline(at, color="black", linestyle=":", linewidth=1)
    axes.set(xlabel=axes_names[0], ylabel=axes_names[1], xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    chart(figure, path)


def bar_panels(panels: Sequence[tuple[str, Mapping[str, float], str]], path: Path) -> None:
    """Draw panels of bars beside each other, each with its title, a value a name, and how a value is written.

    All panels have the same names, which stand once; NaN: not measured, no bar.
    """
    names = [_short(name) for name in panels[0][1]]
    figure = Figure(figsize=(2 + 3 * len(panels), max(2.0, 0.35 * len(names) + 1)), dpi=DPI, layout="constrained")
    for place, (title, values, written) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), place + 1, title=title)
        known = np.array(list(values.values()), float)
        bars = axes.barh(range(len(names)), np.nan_to_num(known), color="tab:blue")
        words = ["not measured" if np.isnan(value) else written.format(value) for value in known]
        axes.bar_label(bars, words, padding=3, fontsize=8)
        axes.set_xlim(0, 1.25 * max(float(np.nan_to_num(known).max()), 1e-9))
        axes.set_yticks(range(len(names)), names if place == 0 else [""] * len(names))
        axes.invert_yaxis()
        axes.set_xticks([])
        axes.spines[["top", "right", "bottom"]].set_visible(False)
    chart(figure, path)


def _short(text: str) -> str:
    text = drawable(text)
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"
