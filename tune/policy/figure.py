"""What a policy is made of, as a figure."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from augment.magnitudes import MAGNITUDES
from augment.policy import MAX_MAGNITUDE, Policy, Schedule
from pipeline.figures.figures import save
from pipeline.figures.fonts import drawable

DPI = 120


def shares(policy: Policy) -> dict[str, float]:
    """Return how often each operation happens to a sample, on average: of a sub-policy in n, its probability / n."""
    found = dict.fromkeys(MAGNITUDES, 0.0)
    for sub in policy:
        for name, probability, _ in sub:
            found[name] += probability / len(policy)
    return found


def operations_and_magnitudes(policy: Policy, path: Path, title: str) -> None:
    """Draw how often each operation happens to a sample, and how strong it is then; the most frequent ones on top."""
    often = shares(policy)
    names = sorted(often, key=lambda name: often[name])
    figure = Figure(figsize=(9, 4.6), dpi=DPI, layout="constrained")
    figure.suptitle(f"{drawable(title)}: {len(policy)} sub-policies", fontsize=11)
    left, right = figure.subplots(1, 2, sharey=True)
    left.barh(names, [often[name] for name in names], color="#4c72b0")
    left.set_xlabel("times a sample")
    steps = [step for sub in policy for step in sub if step[2] is not None]
    places = np.array([names.index(name) for name, _, _ in steps])
    sizes = np.array([8 + 80 * probability for _, probability, _ in steps])
    right.scatter([magnitude for *_, magnitude in steps], places, s=sizes, alpha=0.5, color="#dd8452", linewidths=0)
    right.set_xlabel("magnitude (area: probability)")
    right.set_xlim(-0.5, MAX_MAGNITUDE + 0.5)
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def grid_of_scores(scores: Mapping[tuple[int, float], float], best: tuple[int, float], path: Path, title: str) -> None:
    """Draw RandAugment's grid: (number of operations, magnitude) -> metric, `best` framed; NaN stays empty."""
    counts, magnitudes = (sorted({point[axis] for point in scores}) for axis in (0, 1))
    values = np.array([[scores.get((int(n), m), np.nan) for m in magnitudes] for n in counts])
    figure = Figure(figsize=(2.5 + len(magnitudes), 1.8 + 0.7 * len(counts)), dpi=DPI, layout="constrained")
    axes = figure.add_subplot(title=drawable(title), xlabel="magnitude", ylabel="operations")
    axes.imshow(values, cmap="Blues", aspect="auto")
    axes.set_xticks(range(len(magnitudes)), [f"{magnitude:g}" for magnitude in magnitudes])
    axes.set_yticks(range(len(counts)), [str(count) for count in counts])
    low, high = np.nanmin(values), np.nanmax(values)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            is_dark = value > (low + high) / 2
            axes.text(column, row, f"{value:.3f}", ha="center", va="center", color="white" if is_dark else "black")
    row, column = counts.index(best[0]), magnitudes.index(best[1])
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="#dd8452", linewidth=3))
    save(figure, path)


def schedule_over_epochs(schedule: Schedule, path: Path, title: str) -> None:
    """Draw how a population based policy changes: each operation's probability (all its copies added), and its
    magnitude.

    The magnitude is the mean over the copies, weighted by their probability.
    """
    epochs = [epoch for epoch, _ in schedule]
    probability, strength = (np.zeros((len(MAGNITUDES), len(schedule))) for _ in range(2))
    for column, (_, steps) in enumerate(schedule):
        for name, chance, magnitude in steps:
            row = list(MAGNITUDES).index(name)
            probability[row, column] += chance
            strength[row, column] += chance * (magnitude or 0)
    strength = np.divide(strength, probability, out=np.zeros_like(strength), where=probability > 0)
    figure = Figure(figsize=(10, 4.6), dpi=DPI, layout="constrained")
    figure.suptitle(drawable(title), fontsize=11)
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, values, name in ((left, probability, "probability"), (right, strength, "magnitude")):
        image = axes.imshow(values, cmap="Blues", aspect="auto", vmin=0)
        axes.set_xticks(range(len(epochs)), [f"{epoch:g}" for epoch in epochs])
        axes.set_yticks(range(len(MAGNITUDES)), list(MAGNITUDES))
        axes.set_xlabel("from epoch")
        axes.set_title(name, fontsize=10)
        figure.colorbar(image, ax=axes)
    save(figure, path)
