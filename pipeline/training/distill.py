"""Knowledge distillation (Hinton, Vinyals and Dean 2015): a student learns a trained teacher's answer."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.base.errors import ZoetropeError
from pipeline.recipe import Recipe, load
from pipeline.shards.dataset import Dataset
from pipeline.training.model import load_model
from pipeline.training.teacher import find_teacher, read_classes


@dataclass(frozen=True)
class Teacher:
    """A trained model that answers and does not learn.

    scale, shift: float [C], turn a pixel normalised for the student into one normalised for the teacher.
    """

    model: nn.Module
    scale: Tensor
    shift: Tensor

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Return its logits float [n, K] for the student's input, float [n, C, (T,) H, W]."""
        as_channels = (-1, *[1] * (x.ndim - 2))
        logits: Tensor = self.model(x * self.scale.view(as_channels) + self.shift.view(as_channels))
        return logits


def load_teacher(recipe: Recipe, dataset: Dataset, device: torch.device) -> Teacher | None:
    """Load the recipe's teacher, if it has one. ZoetropeError when its answers are to other questions."""
    distill = recipe.loss.distill
    if distill is None:
        return None
    folder = find_teacher(distill.teacher, recipe.store)
    theirs, classes = load(folder / "recipe.yaml"), read_classes(folder)
    if theirs.task.kind != recipe.task.kind:
        raise ZoetropeError(f"loss.distill.teacher: its task.kind is {theirs.task.kind}, not {recipe.task.kind}")
    if theirs.data.bands != recipe.data.bands:
        raise ZoetropeError(
            f"loss.distill.teacher: {folder} knows pictures that are {theirs.data.bands}, and these are "
            f"{recipe.data.bands}; take a teacher of the same data.channels and data.bits"
        )
    if classes != dataset.classes:
        raise ZoetropeError(
            f"loss.distill.teacher: {folder} knows other classes ({len(classes)}, such as {classes[0]!r}) than the "
            f"data ({len(dataset.classes)}, such as {dataset.classes[0]!r}); they must be the same, in the same order"
        )
    mean, std, its_mean, its_std = (
        torch.tensor(values, device=device)
        for values in (recipe.augment.mean, recipe.augment.std, theirs.augment.mean, theirs.augment.std)
    )
    model = load_model(theirs, len(classes), folder / "model.safetensors", device)
    return Teacher(model, std / its_std, (mean - its_mean) / its_std)
