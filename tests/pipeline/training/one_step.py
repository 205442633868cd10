"""One training step per job, by one of `world` processes, without Ray. test_step.py runs it: rank world folder.

`folder/jobs.json` holds jobs {recipe, dataset, k, net}; the model after each goes to `folder/RANK-of-WORLD-JOB.pt`.
"""

import json
import sys
from pathlib import Path

import torch
from torch import distributed, nn

from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import new_arrays
from pipeline.recipe import check
from pipeline.recipe.optimizers import Sgd
from pipeline.shards.dataset import open_dataset
from pipeline.training.distributed import Process, add_up, share_buffers, wrap
from pipeline.training.freeze import freeze
from pipeline.training.learner import Learner
from pipeline.training.model import build_model
from pipeline.training.objective import Objective
from pipeline.training.optimizer import make_optimizer
from pipeline.training.step import Normalize, train_step


def plain_net() -> nn.Module:
    """No BatchNorm: with it, gradients depend on how a batch is cut."""
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))


def main(rank: int, world: int, folder: Path) -> None:
    """Do all jobs."""
    if world > 1:
        distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    process = Process(rank, world)
    for number, job in enumerate(json.loads((folder / "jobs.json").read_text())):
        recipe = check(job["recipe"], "job")
        torch.manual_seed(7)
        model = plain_net() if job["net"] == "plain" else build_model(recipe, 3)
        options = Sgd(kind="sgd", lr=1.0, momentum=0, weight_decay=0)
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        norms = freeze(model, recipe.train.freeze)
        learner = Learner(model, make_optimizer(model, options), scaler, None, None, norms)
        source = BatchSource(recipe, open_dataset(Path(job["dataset"])), "train", rank, world, training=True)
        arrays = new_arrays(source.layout())
        count, samples = BatchMaker(source).make(0, job["k"], arrays)
        wrapped = wrap(model, process)
        learner.start_step(wrapped)
        sums = train_step(
            wrapped,
            learner,
            {name: array[:count] for name, array in arrays.items()},
            samples,
            (0, job["k"]),
            Normalize.of(recipe, process.device),
            Objective(recipe, source.task),
            process,
        )
        own = {name: buffer.clone() for name, buffer in model.named_buffers()}
        share_buffers(model, process)
        result = {
            "parameters": dict(model.named_parameters()),
            "own_buffers": own,
            "shared_buffers": dict(model.named_buffers()),
            "sums": add_up(sums, process),
            "weight": torch.from_numpy(arrays["weight"][:count]),
        }
        torch.save(result, folder / f"{rank}-of-{world}-{number}.pt")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
