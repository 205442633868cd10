"""How much longer the step after a checkpoint takes: written beside the training, before it goes on, and not written.

    python -m benchmarks.checkpoint_pause [MODEL] [BATCH] [SIDE] [TURNS]

By the train stage's own loop in a worker of Ray Train, on pictures of noise, with a checkpoint every ten steps in a
folder store. All of those steps report metrics too, with or without a checkpoint. Wanted: at most 5 % longer.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.pairs import in_turns
from benchmarks.train_overhead import in_workers
from pipeline.decode.image import encode_jpeg
from pipeline.recipe import Recipe, check
from pipeline.shards.dataset import Dataset
from pipeline.shards.writer import StoredSample, write_dataset, write_shard

STEPS, EVERY = 60, 10
WAYS = {"beside the training": "ASYNC", "before it goes on": "SYNC", "not written": None}


def recipe_of(model: str, batch: int, side: int) -> Recipe:
    """A training of `STEPS` steps by one worker."""
    crop = [{"RandomCrop": {"height": side, "width": side}}]
    values = {
        "name": "checkpoint-pause",
        "task": {"kind": "image-classification"},
        "data": {"source": {"kind": "folder", "path": "/nowhere"}},
        "model": {"kind": model},
        "augment": {"train": crop, "eval": [{"CenterCrop": crop[0]["RandomCrop"]}]},
        "optimizer": {"kind": "sgd", "lr": 1e-3, "base_batch": batch, "momentum": 0.9},
        "train": {"duration": f"{STEPS}st", "batch_size": batch, "checkpoint": f"{EVERY}st", "evaluate": f"{STEPS}st"},
        "cluster": {"workers": 1},
    }
    return check(values, "benchmarks.checkpoint_pause")


def draw(folder: Path, batch: int, side: int) -> Dataset:
    """Noise of two classes."""
    rng = np.random.default_rng(0)

    def sample(number: int) -> StoredSample:
        data = encode_jpeg(rng.integers(0, 255, (side, side, 3), dtype=np.uint8), 80)
        return StoredSample("jpg", data, number % 2, "ab"[number % 2], f"{number}", "0" * 64, side, side, 1, 0.0, 0.0)

    counts = {"train": batch * EVERY, "val": 2}
    shards = {split: [write_shard(folder, split, 0, 0, map(sample, range(count)))] for split, count in counts.items()}
    return write_dataset(folder, "image", ["a", "b"], shards)


def take_turns(config: dict[str, Any], turns: int, answers: Path) -> None:
    """In place of the stage's work on a training worker: seconds of the steps after a checkpoint, and of the others."""
    import ray.train
    from ray.train import CheckpointUploadMode

    from pipeline.cluster import checkpoints, fit
    from pipeline.training import loop

    recipe, step, name_of, report = config["recipe"], loop.train_step, checkpoints.name_of, ray.train.report
    numbers = count()

    def trained(mode: str | None) -> dict[str, list[float]]:
        ends: list[float] = []
        number = next(numbers)

        def timed(*given: Any) -> Any:
            sums = step(*given)
            ends.append(time.perf_counter())
            return sums

        def told(*given: Any, **more: Any) -> None:
            report(*given, **more | {"checkpoint_upload_mode": CheckpointUploadMode[mode or "SYNC"]})

        every = recipe.train.checkpoint if mode else recipe.train.duration
        train = recipe.train.model_copy(update={"checkpoint": every})
        with (
            mock.patch.object(loop, "train_step", timed),
            mock.patch.object(checkpoints, "name_of", lambda *given: f"{name_of(*given)}-turn-{number}"),
            mock.patch("ray.train.get_all_reported_checkpoints", return_value=[]),
            mock.patch("ray.train.report", told),
        ):
            fit.train_as_worker(config | {"recipe": recipe.model_copy(update={"train": train})})
        took = {done: after - before for done, (before, after) in enumerate(pairwise(ends), 1)}
        return {
            "after": [seconds for done, seconds in took.items() if done % EVERY == 0],
            "others": [seconds for done, seconds in took.items() if done % EVERY and done > 1],
        }

    ways: dict[str, Callable[[], dict[str, list[float]]]] = {
        name: partial(trained, mode) for name, mode in WAYS.items()
    }
    answers.write_text(json.dumps(in_turns(ways, turns)))


def main(model: str = "resnet50", batch: str = "8", side: str = "96", turns: str = "3") -> None:
    """Print milliseconds, and the first over the second."""
    recipe = recipe_of(model, int(batch), int(side))
    with tempfile.TemporaryDirectory() as made:
        folder, answers = Path(made), Path(made, "answers.json")
        dataset = draw(folder / "dataset", int(batch), int(side))
        in_workers(recipe, dataset, folder, partial(take_turns, turns=int(turns), answers=answers))
        found = json.loads(answers.read_text())
    print(f"{'':22}{'step after, ms':>16}{'other steps, ms':>17}{'ratio':>7}{'longest':>9}")
    for name, turns_of in found.items():
        after, others = ([seconds for turn in turns_of for seconds in turn[key]] for key in ("after", "others"))
        usual = median(others)
        row = f"{name:22}{1000 * median(after):16.0f}{1000 * usual:17.0f}{median(after) / usual:7.2f}"
        print(f"{row}{max(after) / usual:9.2f}", flush=True)


if __name__ == "__main__":
    # By its own name, which the workers can import; what is of __main__, they cannot.
    from benchmarks.checkpoint_pause import main as imported_main

    imported_main(*sys.argv[1:])
