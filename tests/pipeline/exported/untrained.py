"""Exported models that nobody trained, whose answers are far from chance."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset
from pipeline.stages.export import write_model
from pipeline.stages.train import WEIGHTS
from pipeline.training.model import build_model


def trained(recipe: Recipe, dataset: Dataset, folder: Path, seed: int = 3) -> Path:
    """What the train stage would leave, of a model that nobody trained: `folder`."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    model = build_model(recipe, len(dataset.classes))
    torch.nn.init.normal_(list(model.parameters())[-2])  # far from chance
    save_file(model.state_dict(), str(folder / WEIGHTS))
    (folder / "classes.json").write_text(json.dumps(dataset.classes))
    return folder


def exported_to(folder: Path, recipe: Recipe, dataset: Dataset, seed: int = 3) -> Path:
    """The folder `model` of an export below `folder`."""
    write_model(recipe, trained(recipe, dataset, folder, seed), folder)
    return folder / "model"
