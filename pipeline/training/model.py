"""The recipe's model, fresh or with trained weights."""

from pathlib import Path

import torch
from torch import nn

import models
from models.memory_format import channels_last
from pipeline.recipe import Recipe


def build_model(recipe: Recipe, num_classes: int) -> nn.Module:
    """Build a fresh model, in the memory format that it trains in; `model.weights` are not loaded."""
    model = models.build(recipe.model.kind, num_classes, **recipe.model.model_dump(exclude={"kind", "weights"}))
    if recipe.train.channels_last:
        channels_last(model)
    return model


def load_model(recipe: Recipe, num_classes: int, weights: Path, device: torch.device) -> nn.Module:
    """Load the recipe's model with the weights of a safetensors file, ready to predict."""
    from safetensors.torch import load_file

    model = build_model(recipe, num_classes)
    model.load_state_dict(load_file(str(weights)))
    return model.to(device).eval()
