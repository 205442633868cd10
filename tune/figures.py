"""Figures of a search, each from trials to a PNG file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pipeline.figures.figures import save
from pipeline.figures.fonts import drawable
from pipeline.recipe.space import Domain, LogUniform
from tune.journal import Trial
from tune.live import show_value

if TYPE_CHECKING:
    from pipeline.recipe.tuning import Tune

DPI = 120
COLOURS = "viridis"
FEWEST = 4
"""Trials with a result, for a figure of importance."""
TREES, SHUFFLES = 100, 10


def progress(trials: Sequence[Trial], tune: "Tune", path: Path) -> None:
    """Draw the metric of each trial over epochs; those that ended by themselves in colour."""
    figure = Figure(figsize=(8, 4.5), dpi=DPI, layout="tight")
    axes = figure.add_subplot()
    best = _best(trials)
    for trial in reversed(trials):
        points = [(r["epoch"], r["metrics"].get(tune.metric, np.nan)) for r in trial.results]
        if not points:
            continue
        colour, width = ("#1a7f37", 2.5) if trial is best else ("#0969da", 1.2)
        if trial.status != "done":
            colour = "#b0b7c0"
        axes.plot(
            *zip(*points, strict=True), color=colour, lw=width, marker="o", ms=3, zorder=3 if trial is best else 2
        )
    for colour, label in (("#1a7f37", "best"), ("#0969da", "trained to the end"), ("#b0b7c0", "stopped or failed")):
        axes.plot([], [], color=colour, label=label)
    axes.legend(fontsize=8)
    axes.set_xlabel("epoch")
    axes.set_ylabel(tune.metric)
    axes.grid(alpha=0.25)
    save(figure, path)


def _best(trials: Sequence[Trial]) -> Trial | None:
    """Return the first, as trials come ranked."""
    return trials[0] if trials and trials[0].value is not None else None


def parallel_coordinates(trials: Sequence[Trial], tune: "Tune", path: Path) -> None:
    """Draw a line a trial through its values, coloured by the metric, the best one on top.

    Broken where it was stopped.
    """
    shown = [trial for trial in trials if trial.value is not None and trial.status != "failed"]
    if not shown:
        return
    keys = list(tune.space)
    values = np.array([trial.value for trial in shown], float)
    low, high = values.min(), values.max() if values.max() > values.min() else values.min() + 1e-9
    norm = Normalize(low, high)
    colours = ScalarMappable(norm, COLOURS if tune.mode == "max" else f"{COLOURS}_r")
    columns = [[place(tune.space[key], trial.values[key]) for trial in shown] for key in keys]
    columns.append(list((values - low) / (high - low)))
    figure = Figure(figsize=(max(6, 2.2 * len(columns)), 4.5), dpi=DPI, layout="tight")
    axes = figure.add_subplot()
    x = range(len(columns))
    for i in reversed(range(len(shown))):
        line = [column[i] for column in columns]
        axes.plot(
            x, line, color=colours.to_rgba(values[i : i + 1])[0], lw=3 if i == 0 else 1.2, alpha=1 if i == 0 else 0.7
        )
    for at, key in enumerate(keys):
        domain = tune.space[key]
        _scale(axes, at, [(place(domain, value), drawable(show_value(value))) for value in marks(domain)])
    _scale(axes, len(keys), [(share, f"{low + share * (high - low):.4g}") for share in (0, 0.25, 0.5, 0.75, 1)])
    axes.set_xticks(list(x), [drawable(name) for name in (*keys, tune.metric)], fontsize=9)
    axes.set_yticks([])
    axes.set_xlim(-0.2, len(columns) - 0.6)
    axes.set_ylim(-0.05, 1.05)
    for side in axes.spines.values():
        side.set_visible(False)
    save(figure, path)


def _scale(axes: Axes, at: int, ticks: list[tuple[float, str]]) -> None:
    axes.plot([at, at], [0, 1], color="#57606a", lw=1, zorder=0)
    for y, text in ticks:
        axes.plot([at - 0.02, at + 0.02], [y, y], color="#57606a", lw=1)
        axes.text(
            at + 0.04, y, text, fontsize=8, va="center", bbox={"fc": "white", "ec": "none", "alpha": 0.7, "pad": 0.5}
        )


def marks(domain: Domain) -> list[Any]:
    """Return values to write beside an axis."""
    listed = domain.listed
    if listed is not None and len(listed) <= 12:
        return listed
    return [domain.at(share) for share in (0, 0.25, 0.5, 0.75)] + [domain.ends[-1]]


def place(domain: Domain, value: Any) -> float:
    """Tell where a value stands between the ends of its domain, 0..1."""
    if domain.listed is not None and not isinstance(value, int | float):
        return _share(domain.listed.index(value), 0, len(domain.listed) - 1) if value in domain.listed else 0.5
    listed = domain.listed
    if listed is not None and value in listed:
        return _share(listed.index(value), 0, len(listed) - 1)
    low, high = domain.ends[0], domain.ends[-1]
    if isinstance(domain, LogUniform):
        return _share(np.log(value), np.log(low), np.log(high))
    return _share(value, low, high)


def _share(value: float, low: float, high: float) -> float:
    return float((value - low) / (high - low)) if high > low else 0.5


def importances(trials: Sequence[Trial], tune: "Tune", seed: int) -> dict[str, float]:
    """Return how much of the metric's variance a key explains: by how much a random forest's R2 falls when it is
    shuffled.

    In shares of all keys' (Breiman 2001, section 10), at the last epoch that all trials with a result have reached: a
    trial that was stopped is not worse for that. Empty for fewer trials than `FEWEST`.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    from pipeline.base.keyed import seed64

    shown = [trial for trial in trials if trial.value is not None and trial.status != "failed"]
    if len(shown) < FEWEST:
        return {}
    common = min(trial.epoch for trial in shown)
    reached = [[r["metrics"][tune.metric] for r in trial.results if r["epoch"] <= common] for trial in shown]
    x = np.array([[place(domain, trial.values[key]) for key, domain in tune.space.items()] for trial in shown])
    y = np.array([values[-1] if values else trial.value for values, trial in zip(reached, shown, strict=True)])
    state = seed64(seed, "importance") % 2**32
    forest = RandomForestRegressor(TREES, random_state=state).fit(x, y)
    fall = permutation_importance(forest, x, y, n_repeats=SHUFFLES, random_state=state).importances_mean.clip(min=0)
    return dict(zip(tune.space, (fall / (fall.sum() or 1)).tolist(), strict=True))


def importance(trials: Sequence[Trial], tune: "Tune", seed: int, path: Path) -> None:
    """Draw bars of `importances`; nothing when there are too few trials."""
    found = importances(trials, tune, seed)
    if not found:
        return
    names = sorted(found, key=lambda key: found[key])
    figure = Figure(figsize=(7, 1.2 + 0.4 * len(names)), dpi=DPI, layout="tight")
    axes = figure.add_subplot()
    shown = [drawable(name) for name in names]
    bars = axes.barh(range(len(names)), [found[name] for name in names], tick_label=shown, color="#0969da")
    axes.bar_label(bars, [f"{found[name]:.0%}" for name in names], padding=3, fontsize=8)
    axes.set_xlim(0, 1.08)
    count = sum(trial.value is not None and trial.status != "failed" for trial in trials)
    axes.set_xlabel(f"share in what explains {tune.metric}, by a random forest over {count} trials", fontsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    save(figure, path)
