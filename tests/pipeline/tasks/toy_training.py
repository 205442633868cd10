"""One process of a training of the toy: `python -m tests.pipeline.tasks.toy_training RANK WORLD DATASET OUT`."""

import sys
from pathlib import Path

from torch import distributed

from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset, open_dataset
from pipeline.training.checkpoint import State
from pipeline.training.distributed import Process
from pipeline.training.loop import train
from tests.pipeline.tasks.toy import a_recipe, known

STEPS = {"train.duration": "8st", "train.checkpoint": "5st"}


class Interrupted(Exception):
    """What ends a training after its first checkpoint, in mid-epoch."""


def trained(
    recipe: Recipe, dataset: Dataset, out: Path, process: Process, stop: bool = False, resume: Path | None = None
) -> dict[str, float]:
    """Train, with the checkpoint of each step in a folder of `out`; returns the last metrics."""

    def on_checkpoint(step: int, state: State, metrics: dict[str, float]) -> None:
        if not process.rank:
            (out / str(step)).mkdir(parents=True, exist_ok=True)
            state.save(out / str(step))
        if stop:
            raise Interrupted

    with known():
        return train(recipe, dataset, process, lambda *points: None, on_checkpoint, resume)


if __name__ == "__main__":
    rank, world, dataset, out = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    distributed.init_process_group("gloo", init_method=f"file://{out}/meet", rank=rank, world_size=world)
    recipe = a_recipe(**STEPS, mixing={"kind": "cutmix"}, **{"train.mix_group": 2, "train.micro_batch": 2})
    trained(recipe, open_dataset(dataset), out, Process(rank, world))
