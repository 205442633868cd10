"""A model trained in this process, by the same loop as every run, for a search to ask."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from pipeline.base import threads
from pipeline.feed.processes import start_fork_server
from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset
from pipeline.shards.file_io import publishing
from pipeline.training import checkpoint
from pipeline.training.distributed import Process
from pipeline.training.loop import train

WEIGHTS = "model.safetensors"


def train_child(recipe: Recipe, dataset: Dataset, folder: Path, on_points: Callable[..., None]) -> Path:
    """Return the file of weights in `folder`; what is there already is not trained again."""
    from safetensors.torch import save_file

    path = folder / WEIGHTS
    if path.is_file():
        return path
    threads.as_given()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if recipe.feed.kind == "local" and recipe.feed.workers:
        start_fork_server()
    with TemporaryDirectory(dir=folder) as last:  # where there is room: TMPDIR may be small

        def keep(step: int, state: checkpoint.State, metrics: dict[str, float]) -> None:
            state.save(Path(last))

        train(recipe, dataset, Process(device=device), on_points, keep)
        weights = checkpoint.final_weights(checkpoint.read(Path(last)))
    with publishing(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, str(temporary))
    return path
