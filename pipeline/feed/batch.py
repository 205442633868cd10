"""A batch as a pure function of (recipe, dataset, seed, epoch, k): no state, so any process can make any batch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, takewhile
from math import prod

import numpy as np

from pipeline.base.errors import ZoetropeError
from pipeline.decode.flow_name import FLOW
from pipeline.decode.limits import BadSample
from pipeline.feed.bad_samples import Bad, substitutes
from pipeline.feed.cache import Cache, shape_of
from pipeline.feed.laps import Laps
from pipeline.feed.ring import Cell, idle_cell
from pipeline.feed.sequence import training_order
from pipeline.feed.views import ViewMaker, evaluation_walk, view_size
from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset
from pipeline.shards.order import Positions, TrainingOrder, rank_slice
from pipeline.shards.reader import ShardReader
from pipeline.shards.walk import Walk
from pipeline.tasks import task_of
from pipeline.tasks.base import Layout, Task


@dataclass(frozen=True)
class BatchSource:
    """Everything that a rank's batches depend on; small, so it travels to the worker processes.

    `training` batches follow the shuffled order with the training transforms; the others walk `split` once, by size and
    in dataset order, each sample in `num_clips` x `num_crops` views. `timed`: what makes them measures its steps.
    """

    recipe: Recipe
    dataset: Dataset
    split: str
    rank: int = 0
    world: int = 1
    training: bool = False
    num_clips: int = 1
    num_crops: int = 1
    timed: bool = False

    @cached_property
    def order(self) -> TrainingOrder:
        """The training order of the split. Where it has to be read, it travels to other processes once it was."""
        return training_order(self.recipe, self.dataset, self.split)

    @cached_property
    def walk(self) -> Walk:
        """How an evaluation walks over the split."""
        return evaluation_walk(self.recipe, self.dataset, self.split)

    @cached_property
    def task(self) -> Task:
        """What a sample means."""
        return task_of(self.recipe, self.dataset.classes).sized(self.dataset, self.training)

    @property
    def needs(self) -> frozenset[str]:
        """The members that a sample must have beside its picture or video."""
        return self.task.needs | ({FLOW} if self.recipe.clip.flow else frozenset())

    @property
    def framed(self) -> bool:
        """Whether batches hold the frames of their views."""
        return bool(self.task.rides) and not self.training

    @property
    def group(self) -> int:
        """Neighbours in a batch that stay on one rank."""
        return self.recipe.mix_group if self.training else 1

    @property
    def steps(self) -> int:
        """Batches in an epoch, or in the one walk of an evaluation."""
        if self.training:
            return self.order.steps_per_epoch
        return self.walk.steps

    def place(self, step: int) -> tuple[int, int]:
        """Return (epoch, k) of a step that is counted over all epochs."""
        return divmod(step, self.steps)

    def comes_again(self, steps: range) -> bool:
        """Tell whether samples of a training come again in these steps, counted over all epochs."""
        return self.training and len(steps) > 0 and steps[-1] - steps[0] >= self.steps

    def positions(self, epoch: int, k: int) -> Positions:
        """Return the whole batch `k`, over all ranks."""
        if self.training:
            return self.order.batch(epoch, k)
        return self.walk.batch(k)

    def cut(self, batch: Positions) -> slice:
        """Return this rank's part of a batch; empty when there are fewer groups than ranks."""
        return rank_slice(len(batch), self.group, self.rank, self.world)

    def sized(self, arrays: dict[str, np.ndarray], step: int) -> dict[str, np.ndarray]:
        """Return arrays of `layout` in the shapes of this step's batch: the front of each where
        its samples are smaller.
        """
        if self.training or len(self.walk.sizes) == 1:
            return arrays
        shapes = {name: shape for name, (_, shape) in self._layout(self.walk.size(step)).items()}
        return {name: array.reshape(-1)[: prod(shapes[name])].reshape(shapes[name]) for name, array in arrays.items()}

    def layout(self) -> Layout:
        """Return dtype and shape of the arrays of this rank's largest batch.

        pixels uint8 [n, V, H, W, 3] or, for videos, [n, V, T, H, W, 3], V views a sample (one in training), and of
        other `data.bands` their type and channels; of a recipe of flow alone its fields, [n, V, T, H, W, 2 L];
        flow uint8 [n, V, T, H, W, 2 L], of a two-stream model;
        weight float32 [n], 0 for a sample that only fills up a rank without any, and for a bad one in evaluation;
        sample int64 [n]; the task's fields [n, ...]; and, in an evaluation with companions, frame float32 [n, 2, 3],
        by which answers are brought back to the stored picture (`augment.rides.View`).
        """
        return self._layout(view_size(self.recipe, True) if self.training else self.walk.largest)

    def _layout(self, size: tuple[int, int]) -> Layout:
        """Return the layout for samples of (H, W)."""
        most = self.recipe.train.batch_size if self.training else self.walk.batch_size
        frames = (self.recipe.clip.frames,) if self.dataset.modality == "video" else ()
        seen, dtype = self.task.input_size(*size), np.dtype(self.recipe.data.bands.dtype)
        views = self.num_clips * self.num_crops
        parts = [rank_slice(most, self.group, rank, self.world) for rank in range(self.world)]
        n = max(part.stop - part.start for part in parts)
        return {
            **{name: (dtype, (n, views, *frames, *seen, channels)) for name, channels in self.recipe.inputs.items()},
            "weight": (np.dtype(np.float32), (n,)),
            "sample": (np.dtype(np.int64), (n,)),
            **({"frame": (np.dtype(np.float32), (n, 2, 3))} if self.framed else {}),
            **{name: (dtype, (n, *shape)) for name, (dtype, shape) in self.task.layout(*seen).items()},
        }


class BatchMaker:
    """A `BatchSource` with its shards open and its transforms built. Make one in each process.

    `bad` grows with what is found; `cell` tells the parent process what this one is at; `cache` is the node's, if it
    has one.
    """

    def __init__(
        self, source: BatchSource, bad: Bad | None = None, cell: Cell | None = None, cache: Cache | None = None
    ) -> None:
        self.source, self.cache = source, cache
        self.bad = {} if bad is None else bad
        self.cell = cell or idle_cell()
        self.split = source.dataset.split(source.split)
        self.reader = ShardReader(source.dataset.files, source.split, source.needs)
        self.laps = Laps(source.timed)
        self.view_maker = ViewMaker(source.recipe, source.training, source.num_clips, source.num_crops, self.laps)

    def make(self, epoch: int, k: int, arrays: dict[str, np.ndarray], first: int = 0) -> tuple[int, int]:
        """Write this rank's part of batch `k` into `arrays`; returns its samples and those of the whole batch.

        A rank without a sample of its own gets one of weight 0, so that it can take part in the step. A bad sample
        is replaced by a substitute in training, and has weight 0 in evaluation. The sample at place `first` is made
        first, which changes nothing of the result.
        """
        batch = self.source.positions(epoch, k)
        cut = self.source.cut(batch)
        part = batch[cut]
        mine, weight = (part, 1.0) if len(part) else (batch[:1], 0.0)
        for i in sorted(range(len(mine)), key=lambda i: i != first):
            arrays["weight"][i], arrays["sample"][i] = weight, mine.sample[i]
            candidates: Iterable[int] = [int(mine.sample[i])]
            if self.source.training:
                candidates = chain(candidates, self._substitutes(epoch, k, cut.start + i))
            occurrence = int(mine.occurrence[i])
            if not any(self._put(arrays, i, sample, epoch, occurrence) for sample in candidates):
                for name in arrays.keys() - {"sample"}:
                    arrays[name][i] = 0
        self.cell.rest()
        return len(mine), len(batch)

    def _put(self, arrays: dict[str, np.ndarray], i: int, sample: int, epoch: int, occurrence: int) -> bool:
        """Write a sample to place `i`; False when it is a bad one."""
        if sample in self.bad:
            return False
        raw, task = self.reader.read(*self.split.place(sample)), self.source.task
        self.cell.begin(sample, i)
        place = None
        if self.cache:
            place = self.cache.place(self.source.split, sample, shape_of(self.source.recipe, raw))
        is_read = self.laps.on and not (place and place.is_there)
        data = bytes(raw.data) if is_read else raw.data  # else a mapped file is read while it is decoded
        self.laps.lap("read")
        try:
            view = None
            if task.rides:
                view = self.view_maker.view(data, task.companions(raw), epoch, sample, occurrence, place)
            seen = (
                {"pixels": view.pixels}
                if view
                else self.view_maker.inputs(data, raw.frames, raw.members.get(FLOW), epoch, sample, occurrence, place)
            )
            if seen["pixels"].shape[-3:] != arrays["pixels"].shape[-3:]:
                raise BadSample("its picture has another size than its shard's index says")
        except Exception as error:  # decoders and transforms raise whatever broken data makes them
            what = "" if isinstance(error, ZoetropeError) else f"{type(error).__name__}: "
            self.bad[sample] = what + str(error)
            return False
        self.cell.rest()
        arrays["sample"][i] = sample
        for name, array in seen.items():
            arrays[name][i] = array
        task.put(arrays, i, raw, view)
        if view and self.source.framed:
            arrays["frame"][i] = view.frame
        self.laps.lap("collate")
        return True

    def _substitutes(self, epoch: int, k: int, place: int) -> Iterator[int]:
        """Yield what may stand at a place of a training batch; ZoetropeError when nothing is left."""
        seed, samples = self.source.recipe.seed, self.split.samples
        yield from takewhile(lambda _: len(self.bad) < samples, substitutes(seed, epoch, k, place, samples))
        number, why = next(iter(self.bad.items()))
        raise ZoetropeError(
            f"no sample of the split {self.source.split!r} in {self.source.dataset.files} can be used, such as number "
            f"{number}: {why}"
        )
