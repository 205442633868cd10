"""What the training stage costs beside the training: its samples/s over those of a bare PyTorch loop. Wanted: 0.97.

    python -m benchmarks.train_overhead [--workers 1 2] [--turns 5] [KEY=VALUE]...

The recipe is the quickstart's: short steps, so that what is done once a step shows. Both sides run in turns in the same
training workers of Ray Train, on the same batches, by as many feed workers. Ours is what the train stage runs there:
the loop with its meter, points to the tracker's actor and checkpoints through Ray Train. The bare loop is model, DDP,
optimizer and learning rate, and nothing else, fed by our feed or by torch's DataLoader. In the last row its batches lie
ready, which leaves the feed workers' core idle: a limit, and no floor.

Counted from step 10 on: evaluation and start are left out. Seconds of the clock, and beside them processor time of the
first training worker's process, which does not see what else the machine does.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import torch
from rich.console import Console
from torch.nn import functional

from benchmarks.pairs import in_turns, quotients
from models.pointwise import dilate
from pipeline.base.keyed import generator, seed64
from pipeline.decode.transcode import encode
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.local import LocalFeed
from pipeline.feed.ring import new_arrays
from pipeline.graph.plan import Context
from pipeline.graph.progress import Board, Reporter
from pipeline.recipe import Recipe, load, plain
from pipeline.shards.dataset import Dataset
from pipeline.shards.writer import StoredSample, write_dataset, write_shard
from pipeline.sources.digits import DIRECTIONS, FPS, moving_clip
from pipeline.training.distributed import Process, wrap
from pipeline.training.loop import Plan
from pipeline.training.model import build_model
from pipeline.training.optimizer import make_optimizer, set_lr
from pipeline.training.step import Normalize

SKIPPED = 10
"""Steps that are not counted. A multiple of the loop's LOG_EVERY_STEPS, at which ours looks at the clock."""
RECIPE = Path(__file__).parents[1] / "recipes" / "quickstart.yaml"
Arrays = dict[str, np.ndarray]
Batches = Callable[[BatchSource, int], Generator[Arrays, None, None]]
"""The batches of so many steps."""


@dataclass(frozen=True)
class Rate:
    """Samples of all workers per second of the clock, and per second of one worker's processor."""

    clock: float
    processor: float


class Marks:
    """Progress, as the stage is given it, that looks at the clocks when the loop reports a step for the first time."""

    def __init__(self, told: Callable[..., None]) -> None:
        self.told, self.at = told, dict[int, tuple[float, float]]()

    def __call__(self, done: int, total: int, note: str) -> None:
        """Note the time, and pass it on."""
        self.at.setdefault(done, (time.perf_counter(), time.process_time()))
        self.told(done, total, note)

    def say(self, text: str) -> None:
        """Sentences for the user: not here."""

    def rate(self, batch_size: int) -> Rate:
        """From the step SKIPPED to the last one."""
        last = max(self.at)
        seconds = [after - before for before, after in zip(self.at[SKIPPED], self.at[last], strict=True)]
        return Rate(*(batch_size * (last - SKIPPED) / one for one in seconds))


def bare(recipe: Recipe, dataset: Dataset, process: Process, batches: Batches) -> tuple[torch.nn.Module, Marks]:
    """Train without anything of ours around it."""
    source = BatchSource(recipe, dataset, "train", process.rank, process.world, training=True)
    plan = Plan.of(recipe, source.steps)
    torch.manual_seed(seed64(recipe.seed, "init"))
    model = build_model(recipe, len(dataset.classes)).to(process.device)
    if process.device.type == "cpu":
        dilate(model)  # so that both compute the same
    optimizer = make_optimizer(model, recipe.optimizer)
    parallel = wrap(model, process).train()
    normalize = Normalize.of(recipe, process.device)
    marks = Marks(lambda *_: None)
    with closing(batches(source, plan.total)) as made:
        for step, arrays in enumerate(made):
            set_lr(optimizer, plan.lr(step))
            labels = torch.from_numpy(arrays["label"]).to(process.device)
            logits = parallel(normalize(arrays["pixels"][:, 0]))
            functional.cross_entropy(logits, labels, label_smoothing=recipe.loss.label_smoothing).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if step + 1 in (SKIPPED, plan.total):
                marks(step + 1, plan.total, "")
    return model, marks


def by_our_feed(source: BatchSource, steps: int) -> Generator[Arrays, None, None]:
    """From the recipe's number of feed workers."""
    feed = source.recipe.feed
    with closing(LocalFeed(source, range(steps), feed.workers, feed.timeout_s)) as made:
        yield from (batch.arrays for batch in made)


class TorchDataset(torch.utils.data.Dataset[Arrays]):
    """The same batches, for torch's DataLoader; an item is a batch."""

    def __init__(self, source: BatchSource) -> None:
        self.source = source
        self.maker: BatchMaker | None = None

    def __getitem__(self, step: int) -> Arrays:
        self.maker = self.maker or BatchMaker(self.source)
        arrays = new_arrays(self.source.layout())
        self.maker.make(*self.source.place(step), arrays)
        return arrays


def by_data_loader(source: BatchSource, steps: int) -> Generator[Arrays, None, None]:
    """From as many workers of torch's DataLoader."""
    loader = torch.utils.data.DataLoader(
        TorchDataset(source),
        batch_size=None,
        sampler=range(steps),
        num_workers=source.recipe.feed.workers,
        multiprocessing_context="spawn",  # Ray's and gloo's threads do not survive a fork
        worker_init_fn=_one_thread,
    )
    for batch in loader:
        yield {name: tensor.numpy() for name, tensor in batch.items()}


def _one_thread(_: int) -> None:
    import cv2

    cv2.setNumThreads(0)


def ready(source: BatchSource, steps: int) -> Generator[Arrays, None, None]:
    """Eight batches, made before, over and over."""
    dataset = TorchDataset(source)
    made = [dataset[step] for step in range(min(8, steps))]
    yield from (made[step % len(made)] for step in range(steps))


BARE: dict[str, Batches] = {
    "bare, our feed": by_our_feed,
    "bare, torch's DataLoader": by_data_loader,
    "bare, batches ready": ready,
}


def take_turns(config: dict[str, Any], turns: int, answers: Path) -> None:
    """In place of the stage's work on a training worker: that and the bare loops, in turns."""
    import ray.train

    from pipeline.cluster import checkpoints, fit

    place = ray.train.get_context()
    process = Process(place.get_world_rank(), place.get_world_size(), ray.train.torch.get_device())
    recipe: Recipe = config["recipe"]

    def rated(marks: Marks) -> Rate:
        return marks.rate(recipe.train.batch_size) if marks.at else Rate(1, 1)  # the loop reports on the first rank

    turn, name_of = count(), checkpoints.name_of

    def ours(writes: bool) -> Rate:
        marks, number = Marks(config["progress"]), next(turn)
        every = recipe.train.checkpoint if writes else recipe.train.duration
        own = recipe.model_copy(update={"train": recipe.train.model_copy(update={"checkpoint": every})})

        # Each turn begins anew, and keeps its checkpoints by names of its own.
        with (
            mock.patch("ray.train.get_all_reported_checkpoints", return_value=[]),
            mock.patch.object(checkpoints, "name_of", lambda *given: f"{name_of(*given)}-turn-{number}"),
        ):
            fit.train_as_worker(config | {"recipe": own, "progress": marks})
        return rated(marks)

    ways: dict[str, Callable[[], Rate]] = {"stage": partial(ours, True), "stage, no checkpoints": partial(ours, False)}
    for name, batches in BARE.items():
        ways[name] = partial(lambda given: rated(bare(recipe, config["dataset"], process, given)[1]), batches)
    rates = in_turns(ways, turns)
    if process.rank == 0:
        answers.write_text(json.dumps({name: [vars(one) for one in kept] for name, kept in rates.items()}))


def draw(folder: Path, recipe: Recipe, samples: int) -> Dataset:
    """Digits that move, as the quickstart's shard stage stores them; a fifth of them for validation, too."""
    from sklearn.datasets import load_digits

    glyphs = load_digits().images.astype(np.float32) / 16
    names = list(DIRECTIONS)

    def sample(number: int) -> StoredSample:
        direction = number % len(names)
        clip = moving_clip(glyphs[number], names[direction], 64, 16, generator("moving-digits", number))
        data = encode(clip, FPS, recipe.shard.video.gop, recipe.shard.video.crf)
        return StoredSample("mp4", data, direction, names[direction], f"{number}", "0" * 64, 64, 64, 16, FPS, 2.0)

    counts = {"train": samples, "val": samples // 5}
    shards = {
        split: [write_shard(folder, split, 0, 0, (sample(number) for number in range(count)))]
        for split, count in counts.items()
    }
    return write_dataset(folder, "video", names, shards)


def measure(recipe: Recipe, folder: Path, samples: int, turns: int) -> dict[str, list[Rate]]:
    """The rates of each way, under Ray Train."""
    answers = folder / "answers.json"
    in_workers(
        recipe, draw(folder / "dataset", recipe, samples), folder, partial(take_turns, turns=turns, answers=answers)
    )
    return {name: [Rate(**one) for one in kept] for name, kept in json.loads(answers.read_text()).items()}


def in_workers(recipe: Recipe, dataset: Dataset, folder: Path, work: Callable[[dict[str, Any]], None]) -> None:
    """Have the training workers of Ray Train do `work` in place of the stage's, with all that the stage has there."""
    import ray

    from pipeline.cluster import fit, tracker
    from pipeline.store import open_store
    from pipeline.tracking.address import resolve
    from pipeline.verbs.driver import ray_cluster

    store = open_store(folder / "store")
    record = store.record_run(recipe.name, plain(recipe), {})
    out, scratch = folder / "out", folder / "scratch"
    out.mkdir()
    scratch.mkdir()
    with ray_cluster(recipe, Console()):
        actor = tracker.start_tracker(resolve(None, store.url), recipe, store.home, record.folder)
        board: Any = ray.remote(num_cpus=0)(Board).remote()
        services, told = tracker.Services(actor, record.folder), Reporter("train", board)
        context = Context(recipe, {}, out, scratch, "0" * 32, services, told, store.home, {})
        tracker.begin(context, "benchmark", system_every_s=tracker.SYSTEM_EVERY_S)
        with mock.patch.object(fit, "train_as_worker", work):
            fit.fit(context, dataset, partial(tracker.send, actor))
        tracker.finish(context)


def main() -> None:
    """Print a table for each number of training workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--samples", type=int, default=3200, help="training samples to draw; two epochs are trained")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="changes of the quickstart's recipe")
    arguments = parser.parse_args()
    for workers in arguments.workers:
        changes = ["train.duration=2ep", "train.evaluate=2ep", f"cluster.workers={workers}", *arguments.overrides]
        recipe = load(RECIPE, changes)
        with tempfile.TemporaryDirectory() as folder:
            rates = measure(recipe, Path(folder), arguments.samples, arguments.turns)
        feeds = recipe.feed.workers
        print(f"\n{workers} training workers, each with {feeds} feed workers; load {os.getloadavg()[0]:.1f}")
        print(f"{'':26}{'samples/s':>10}   stage over it: clock; processor of a training worker")
        for name, kept in rates.items():
            clock = quotients([one.clock for one in rates["stage"]], [one.clock for one in kept])
            processor = quotients([one.processor for one in rates["stage"]], [one.processor for one in kept])
            print(f"{name:26}{median(one.clock for one in kept):10.0f}   {clock}; {processor}", flush=True)


if __name__ == "__main__":
    # By its own name, which the workers can import; what is of __main__, they cannot.
    from benchmarks.train_overhead import main as imported_main

    imported_main()
