"""What training makes of its first samples: as they are stored, augmented, and mixed."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from augment.rides import Companions, View
from pipeline.decode.flow_name import FLOW
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.local import LocalFeed
from pipeline.feed.ring import new_arrays
from pipeline.figures.drawing import as_rgb
from pipeline.figures.figures import augmentation_sheet
from pipeline.figures.flow import shown as shown_of
from pipeline.figures.fonts import class_names
from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset
from pipeline.shards.reader import RawSample
from pipeline.tasks import task_of
from pipeline.tasks.base import Arrays, Task
from pipeline.training.objective import Objective

SHOWN = {"image": 8, "video": 4}
"""Samples in a preview; at least so many are mixed with each other."""
LEAST = 0.005
"""Shares below are not told."""
State = tuple[np.ndarray, str]


def draw_preview(recipe: Recipe, dataset: Dataset, path: Path) -> None:
    """Draw the first samples of the first batch as a PNG, with the names of what was done to them."""
    augmentation_sheet(first_states(recipe, dataset), path)


def first_states(recipe: Recipe, dataset: Dataset) -> list[list[State]]:
    """Return for each of the first samples what it becomes: stored, augmented and, where the recipe mixes, mixed."""
    group, shown, alone = recipe.mix_group, SHOWN[dataset.modality], recipe.sees_flow_alone
    # The first rank's part: as few whole groups as show enough
    world = max(1, recipe.train.batch_size // group // -(-shown // group))
    source = BatchSource(recipe, dataset, "train", 0, world, training=True)
    # The feed knows what a bad sample makes a decoder do, and which one stands in for it
    with closing(LocalFeed(source, range(1), recipe.feed.workers, recipe.feed.timeout_s, {})) as feed:
        samples = next(iter(feed)).arrays["sample"].tolist()
    maker, split, occurrences = BatchMaker(source), dataset.split("train"), source.positions(0, 0).occurrence.tolist()
    task = task_of(recipe, tuple(class_names(dataset.classes))).sized(dataset, training=True)
    stored, augmented, seen, fields, truth = [], [], [], [], []
    for i, sample in enumerate(samples):
        raw = maker.reader.read(*split.place(sample))
        companions = task.companions(raw) if task.rides else Companions()
        before, after, names = maker.view_maker.explain(
            raw.data, raw.frames, companions, 0, sample, occurrences[i], raw.members.get(FLOW)
        )
        height, width = before.pixels.shape[-3:-1]
        known = task.truth(shown_of(_looked_at(recipe, before), alone), _fields(task, raw, before))
        truth.append(known.words)
        called = maker.reader.source(*split.place(sample))
        stored.append((known.pixels, f"{called}, stored, {width} x {height} px: {known.words}"))
        fields.append(_fields(task, raw, after))
        title = ", ".join(name.replace(" ", "\N{NO-BREAK SPACE}") for name in names) or "as it was"
        inputs = _looked_at(recipe, after)
        augmented.append((task.truth(shown_of(inputs, alone), fields[i]).pixels, title))
        seen.append(inputs)
    states: list[list[State]] = [stored, augmented]
    stacked = {name: np.stack([one[name] for one in seen]) for name in seen[0]}
    if mixed := _mixed(Objective(recipe, task), stacked, fields, truth):
        states.append(mixed)
    return [list(of_one) for of_one in zip(*states, strict=True)][:shown]


def _fields(task: Task, raw: RawSample, view: View) -> dict[str, np.ndarray]:
    """Return a sample's fields in that view."""
    layout = task.layout(*view.pixels.shape[-3:-1])
    arrays = new_arrays({name: (dtype, (1, *shape)) for name, (dtype, shape) in layout.items()})
    task.put(arrays, 0, raw, view)
    return {name: array[0] for name, array in arrays.items()}


def _looked_at(recipe: Recipe, view: View) -> dict[str, np.ndarray]:
    """Return what the model looks at in a view, pixels of pictures as a person sees them."""
    if view.flow is None:
        return {"pixels": as_rgb(view.pixels)}
    return {"pixels": view.flow} if recipe.sees_flow_alone else {"pixels": view.pixels, "flow": view.flow}


def _mixed(objective: Objective, inputs: Arrays, fields: Sequence[Arrays], truth: list[str]) -> list[State]:
    """Return samples uint8 [n, (T,) H, W, 3] as they are mixed in the first step, each with whose it is; [] without
    mixing.

    Training mixes what is normalised; since shares sum to 1, these are the same pictures.
    """
    drawn = objective.draw(len(truth), inputs["pixels"].shape[-3:-1], (0, 0), 0, torch.device("cpu"))
    if drawn is None:
        return []
    applied = {name: drawn.apply(torch.from_numpy(array).movedim(-1, 1).float()) for name, array in inputs.items()}
    mixed = {name: x.movedim(1, -1).round().clamp(0, 255).to(torch.uint8).numpy() for name, x in applied.items()}
    alone = objective.recipe.sees_flow_alone
    seen = [shown_of({name: array[i] for name, array in mixed.items()}, alone) for i in range(len(truth))]
    if objective.task.rides:  # what rides is drawn over the pixels; else truth is words alone
        stacked = {name: torch.from_numpy(np.stack([one[name] for one in fields])) for name in fields[0]}
        rows = {name: column.numpy() for name, column in objective.task.mixed(stacked, drawn).items()}
        shown = [
            objective.task.truth(picture, {name: column[i] for name, column in rows.items()}).pixels
            for i, picture in enumerate(seen)
        ]
    else:
        shown = seen
    states = []
    for picture, index, weights in zip(shown, drawn.index.tolist(), drawn.weights.tolist(), strict=True):
        parts = sorted(((weight, truth[i]) for i, weight in zip(index, weights, strict=True)), reverse=True)
        states.append(
            (picture, "target: " + " + ".join(f"{weight:.2f} '{name}'" for weight, name in parts if weight >= LEAST))
        )
    return states
