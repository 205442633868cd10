"""Measure trained models on a split: every sample once, by the mean of what the models answer. Without Ray."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.decode.flow_name import FLOW
from pipeline.figures.drawing import as_rgb
from pipeline.figures.flow import shown
from pipeline.recipe import Recipe
from pipeline.tasks import task_of
from pipeline.tasks.base import Tally

if TYPE_CHECKING:
    import torch

    from pipeline.feed.bad_samples import Bad
    from pipeline.shards.dataset import Dataset
    from pipeline.tasks.base import Answer, Arrays

MEASURED = {"test": "test", "val": "evaluate"}
"""The splits that may be measured, the first one that there is -> what MLflow's names begin with."""


@dataclass(frozen=True)
class Trained:
    """A trained model: its recipe says what it sees and how it is measured; weights: a safetensors file."""

    recipe: Recipe
    weights: Path


@dataclass(frozen=True)
class Part:
    """What one process measured: its samples int64 [n] and the tally of them.

    Rows are what grows most with the classes: 4.4 GB for 50,000 samples of 21,841 classes.

    `bad`: the samples that could not be used, which are not measured.
    """

    sample: np.ndarray
    tally: Tally
    bad: "Bad"


def measured_split(dataset: "Dataset") -> str:
    """Return the split that a trained model is measured on: `test` where there is one."""
    return next(split for split in MEASURED if split in dataset.splits)


def merged(parts: Sequence[Part]) -> tuple[np.ndarray, Tally]:
    """Return the numbers of all samples, ascending, and the tally of all."""
    sample = np.concatenate([part.sample for part in parts])
    order = np.argsort(sample)
    rows = {name: np.concatenate([part.tally.rows[name] for part in parts])[order] for name in parts[0].tally.rows}
    return sample[order], Tally(np.sum([part.tally.sums for part in parts], axis=0), rows)


def predict_part(
    models: Sequence[Trained],
    dataset: "Dataset",
    rank: int = 0,
    world: int = 1,
    say: Callable[[str], None] = lambda text: None,
    split: str | None = None,
) -> Part:
    """Predict this rank's part of a split, else of the measured one, all views of a sample and all models averaged.

    The models have one task and the dataset's classes, and `evaluate` of the first is that of all; their batches are
    equally large, and where something rides they see alike.
    """
    from contextlib import ExitStack, closing

    from pipeline.cluster.feeds import feeds
    from pipeline.feed.batch import BatchSource
    from pipeline.training.step import to_device

    first, split, groups = models[0].recipe, split or measured_split(dataset), alike(models)
    clips, crops = first.evaluate.clips, first.evaluate.crops
    sources = [
        BatchSource(group[0].recipe, dataset, split, rank, world, num_clips=clips, num_crops=crops) for group in groups
    ]
    rows: dict[str, list[np.ndarray]] = {}
    bad: Bad = {}
    samples, task = [], sources[0].task
    answered, total = _answering(groups, dataset), None
    with feeds(first, say) as make_feed, ExitStack() as stack:
        walks = [stack.enter_context(closing(make_feed(source, range(source.steps), bad))) for source in sources]
        for batches in zip(*walks, strict=True):
            seen = [batch.arrays for batch in batches]
            assert all(np.array_equal(arrays["sample"], seen[0]["sample"]) for arrays in seen)
            weights = np.min([arrays["weight"] for arrays in seen], axis=0)
            counts = weights > 0
            answer = answered(seen)
            fields, weight = to_device({**seen[0], "weight": weights}, _device())
            sums = task.sums(answer, fields, weight)
            total = sums if total is None else total + sums
            samples.append(seen[0]["sample"][counts])
            for name, column in task.rows(answer, fields).items():
                rows.setdefault(name, []).append(column.cpu().numpy()[counts])
    assert total is not None  # a rank without a sample of its own measures one of weight 0
    columns = {name: np.concatenate(parts) for name, parts in rows.items()}
    return Part(np.concatenate(samples), Tally(total.cpu().numpy(), columns), bad)


def pictures(
    models: Sequence[Trained], dataset: "Dataset", samples: np.ndarray
) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Make the first view of samples of the measured split, uint8 [(T,) H, W, 3] RGB, and what is `pictured`.

    Weights are read only where something rides; the models then see alike.
    """
    from pipeline.feed.batch import BatchMaker, BatchSource
    from pipeline.feed.ring import new_arrays
    from pipeline.training.step import to_device

    maker = BatchMaker(BatchSource(models[0].recipe, dataset, measured_split(dataset)))
    task = maker.source.task
    answered = _answering([models], dataset) if task.rides else None
    found: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
    for sample in samples.tolist():
        raw = maker.reader.read(*maker.split.place(sample))
        if answered is None:
            seen = maker.view_maker.inputs(raw.data, raw.frames, raw.members.get(FLOW), 0, sample)
            first = {name: views[0] for name, views in seen.items()}
            found.append((shown(first, models[0].recipe.sees_flow_alone), {}))
            continue
        view = maker.view_maker.view(raw.data, task.companions(raw), 0, sample)
        layout = task.layout(*view.pixels.shape[:2])
        fields = new_arrays({name: (dtype, (1, *shape)) for name, (dtype, shape) in layout.items()})
        task.put(fields, 0, raw, view)
        arrays: dict[str, np.ndarray] = {"pixels": view.pixels[None, None], "weight": np.ones(1, np.float32), **fields}
        pictured = task.pictured(answered([arrays]), to_device(arrays, _device())[0])
        found.append((as_rgb(view.pixels), {name: column[0].cpu().numpy() for name, column in pictured.items()}))
    return found


def sample_names(dataset: "Dataset", samples: np.ndarray) -> list[str]:
    """Return what the source calls some samples of the measured split: paths in it."""
    from pipeline.shards.reader import ShardReader

    split = measured_split(dataset)
    reader, places = ShardReader(dataset.files, split), dataset.split(split)
    return [reader.source(*places.place(sample)) for sample in samples.tolist()]


def alike(models: Sequence[Trained]) -> list[list[Trained]]:
    """Group models that see samples alike, so that a sample is decoded once for each group."""
    groups: dict[str, list[Trained]] = {}
    for model in models:
        recipe = model.recipe
        seen = json.dumps([recipe.clip.model_dump(mode="json"), recipe.augment.eval, recipe.inputs])
        groups.setdefault(seen, []).append(model)
    return list(groups.values())


def _answering(groups: Sequence[Sequence[Trained]], dataset: "Dataset") -> "Callable[[Sequence[Arrays]], Answer]":
    """Return the function that answers a batch, given as each group sees it, by all models together."""
    models = [[_answers(model, dataset) for model in group] for group in groups]
    task = task_of(groups[0][0].recipe, dataset.classes)

    def answered(seen: "Sequence[Arrays]") -> "Answer":
        answers = [answer(arrays) for arrays, group in zip(seen, models, strict=True) for answer in group]
        return answers[0] if len(answers) == 1 else task.together(answers)

    return answered


def _answers(trained: Trained, dataset: "Dataset") -> "Callable[[Arrays], Answer]":
    from models.pointwise import dilate
    from pipeline.training.model import load_model
    from pipeline.training.step import Normalize, Running

    recipe, device = trained.recipe, _device()
    model = load_model(recipe, len(dataset.classes), trained.weights, device)
    if device.type == "cpu":
        dilate(model)
    run = Running(model, Normalize.of(recipe, device), recipe.train, recipe.evaluate)
    task = task_of(recipe, dataset.classes)
    return lambda arrays: task.infer(run, arrays)


def _device() -> "torch.device":
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
