"""Small trainings on clips that say which way a camera moves: networks of motion in one table, and TSM's figure 2.

    OMP_NUM_THREADS=1 python -m benchmarks.motion FOLDER STORE [NAME...]

FOLDER holds train/ and val/ as recipes/motion-tsm.yaml names them. What STORE has already is not trained again. NAME is
one of `RUNS`; all by default. With all that shift, motion-shift.svg is drawn in the current folder: latency and top-1
over the share of channels that move, in place and in the residual branch (Lin et al. 2019, figure 2).

Clips/s and latency are of a core, by processor time: medians of turns that all models take in one process, in batches
of 16 clips and of one.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from time import process_time
from typing import NamedTuple

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure

from benchmarks.pairs import in_turns
from benchmarks.segmentation import trained
from models.complexity import count_multiply_adds, count_parameters
from pipeline.base.errors import unknown
from pipeline.exported.predictor import Predictor
from pipeline.training.step import call, inputs_of

FLOW = ("flow-rgb", "flow-alone", "flow-late", "flow-mid")
"""Of frames, of flow, and of both; see `benchmarks.flow` for how good the flow is."""
NETWORKS = ("tsn", "tsm", "tsm-in-place", "trn", "eco", "r2plus1d", "i3d", "slowfast", "timesformer", *FLOW)
DIVISORS = (16, 8, 4, 2)
"""Of `model.shift`: one of so many channels moves forward, and one backward."""
PUBLISHED = 8
"""What recipes have, whose runs need no number in their names."""
PLACES = {"tsm": "residual", "tsm-in-place": "in place"}


def run_name(network: str, divisor: int) -> str:
    """The run of a network that shifts, with another share of its channels."""
    return network if divisor == PUBLISHED else f"{network}-{divisor}"


RUNS: dict[str, tuple[str, tuple[str, ...]]] = {name: (f"motion-{name}", ()) for name in NETWORKS} | {
    run_name(name, divisor): (f"motion-{name}", (f"model.shift={divisor}", f"name=motion-{name}-{divisor}"))
    for name in PLACES
    for divisor in DIVISORS
    if divisor != PUBLISHED
}
"""Each run's recipe, and the changes to it."""
SHIFTED = {"tsn", *(run_name(network, divisor) for network in PLACES for divisor in DIVISORS)}
"""What the figure is drawn from."""
CLASSES, SIDE_PX = 8, 72
BATCH, TURNS = 16, 15


class Row(NamedTuple):
    """What was measured of a run: top-1 in 0..1, multiply-adds of one clip, latency of one clip."""

    top1: float
    parameters: int
    multiply_adds: int
    clips_per_s: float
    latency_s: float
    train_s: float


def main(folder: str, store: str, *names: str) -> None:
    """Print the table, and draw the figure if all that it shows is there."""
    for name in names:
        if name not in RUNS:
            raise SystemExit(unknown("run", name, RUNS))
    torch.set_num_threads(1)
    rows = measured(Path(folder).resolve(), Path(store).resolve(), names or tuple(RUNS))
    print("\n".join(table(rows)))
    if rows.keys() >= SHIFTED:
        draw(curves(rows), Path("motion-shift.svg"))


def measured(folder: Path, store: Path, names: Sequence[str]) -> dict[str, Row]:
    """Train what is not trained, then measure all."""
    made, models = {}, {}
    for name in names:
        recipe, changes = RUNS[name]
        made[name], models[name] = trained(recipe, str(store), {"path": str(folder)}, *changes)
        print(f"{name}: top-1 {made[name]['evaluate'].facts['top1']:.1%}", file=sys.stderr, flush=True)
    single, batch = seconds(models, 1), seconds(models, BATCH)
    return {
        name: Row(
            top1=made[name]["evaluate"].facts["top1"],
            parameters=count_parameters(model.model),
            multiply_adds=multiply_adds(model),
            clips_per_s=BATCH / batch[name],
            latency_s=single[name],
            train_s=made[name]["train"].manifest["duration_s"],
        )
        for name, model in models.items()
    }


def shape(model: Predictor) -> tuple[int, ...]:
    """Of a clip as the model sees it: [C, T, H, W], flow behind the frames."""
    return (sum(model.recipe.inputs.values()), model.recipe.clip.frames, SIDE_PX, SIDE_PX)


def multiply_adds(model: Predictor) -> int:
    """Of one clip."""
    with torch.device("meta"):
        return count_multiply_adds(model.recipe.model.build(CLASSES), shape(model))


def seconds(models: Mapping[str, Predictor], clips: int) -> dict[str, float]:
    """Processor seconds of each model for so many clips at once."""
    ways = {name: partial(_seconds, model, clips) for name, model in models.items()}
    return {name: statistics.median(found) for name, found in in_turns(ways, TURNS).items()}


def _seconds(model: Predictor, clips: int) -> float:
    _, *rest = shape(model)
    arrays = {name: np.zeros((clips, *rest, channels), np.uint8) for name, channels in model.recipe.inputs.items()}
    inputs = inputs_of(arrays, model.normalize)  # in the memory format of the model
    with torch.inference_mode():
        start = process_time()
        call(model.model, inputs)
        return process_time() - start


def table(rows: Mapping[str, Row]) -> list[str]:
    """A line a run, the best first, and what TSM gains over TSN."""
    lines = [f"{'':16} {'top-1':>6} {'parameters':>10} {'GMACs':>6} {'clips/s':>7} {'latency ms':>10} {'train s':>7}"]
    for name, row in sorted(rows.items(), key=lambda item: -item[1].top1):
        lines.append(
            f"{name:16} {row.top1:6.1%} {row.parameters:10,} {row.multiply_adds / 1e9:6.3f} {row.clips_per_s:7.1f} "
            f"{row.latency_s * 1e3:10.1f} {row.train_s:7.0f}"
        )
    if rows.keys() >= {"tsn", "tsm"}:
        lines.append(f"TSM over TSN: {100 * (rows['tsm'].top1 - rows['tsn'].top1):+.1f} points; wanted are +20")
    return lines


def curves(rows: Mapping[str, Row]) -> dict[str, list[tuple[Fraction, Row]]]:
    """For each place of the shift, rows by the share of channels that move, both ways together; TSN moves none."""
    return {
        place: [
            (Fraction(0), rows["tsn"]),
            *((Fraction(2, divisor), rows[run_name(network, divisor)]) for divisor in DIVISORS),
        ]
        for network, place in PLACES.items()
    }


def draw(lines: Mapping[str, Sequence[tuple[Fraction, Row]]], path: Path) -> None:
    """Draw latency and top-1 over the share of channels that move, a line a place; an SVG."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    values = (("latency of a clip on one core (ms)", 1e3, "latency_s"), ("top-1 (%)", 100, "top1"))
    for number, (label, unit, field) in enumerate(values, start=1):
        axes = figure.add_subplot(1, 2, number, xlabel="share of channels that move", ylabel=label)
        for place, points in lines.items():
            y = [unit * getattr(row, field) for _, row in points]
            axes.plot(range(len(points)), y, marker="o", label=place)
            axes.set_xticks(range(len(points)), [str(share) for share, _ in points])
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "motion"}):
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
