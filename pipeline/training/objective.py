"""What a training step minimises: everything between its normalised batch and the loss, but for the model."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from augment.mixing.base import Mixing
from augment.mixing.batch import Mixed, draw_batch
from augment.mixing.choose import Choose
from augment.mixing.cutmix import CutMix
from augment.mixing.mixup import Mixup, SamplePairing
from augment.mixing.ricap import Ricap
from pipeline.recipe import Recipe
from pipeline.recipe.mixing import mixes
from pipeline.shards.dataset import Dataset
from pipeline.tasks import task_of
from pipeline.tasks.base import Fields, Task
from pipeline.training.class_weights import loss_weights
from pipeline.training.distill import Teacher, load_teacher

WAYS: dict[str, Any] = {"mixup": Mixup, "cutmix": CutMix, "ricap": Ricap, "sample_pairing": SamplePairing}


def mixing_of(options: Any) -> Mixing | None:
    """The way of mixing that a recipe's section `mixing` asks for."""
    if not mixes(options):
        return None
    ways = options.of if options.kind == "choose" else [options]
    if len(ways) == 1 and ways[0].probability == 1:
        return _way(ways[0])
    return Choose(tuple((_way(one), one.probability) for one in ways))


def _way(options: Any) -> Mixing:
    way: Mixing = WAYS[options.kind](**options.model_dump(exclude={"kind", "probability"}))
    return way


@dataclass(frozen=True)
class Objective:
    """Mixing and loss of a recipe and its task; class_weights float [K]."""

    recipe: Recipe
    task: Task
    class_weights: Tensor | None = None
    teacher: Teacher | None = None

    @classmethod
    def of(cls, recipe: Recipe, dataset: Dataset, device: torch.device) -> "Objective":
        """As the recipe says, for a data set. ZoetropeError where it names what is not there."""
        weights = loss_weights(recipe, dataset)
        return cls(
            recipe,
            task_of(recipe, dataset.classes),
            None if weights is None else torch.tensor(weights, device=device),
            load_teacher(recipe, dataset, device),
        )

    @cached_property
    def mixing(self) -> Mixing | None:
        """The way of mixing."""
        return mixing_of(self.recipe.mixing)

    def mix(self, x: Tensor, epoch: int, k: int, first_group: int) -> Mixed | None:
        """A part of batch `k` after mixing; None without. x float [n, 3, (T,) H, W] begins with group `first_group`."""
        if self.mixing is None:
            return None
        recipe = self.recipe
        key = (recipe.seed, "mix", epoch, k)
        drawn = draw_batch(self.mixing, len(x), recipe.mix_group, *x.shape[-2:], *key, first_group=first_group)
        index, weights = (part.to(x.device, non_blocking=True) for part in (drawn.index, drawn.weights))
        return Mixed(drawn.apply(x), index, weights)

    def losses(self, model: nn.Module, out: Any, x: Tensor, fields: Fields, weights: Tensor) -> dict[str, Tensor]:
        """The task's parts of the loss, each summed, of what the model gave for input x; weights float [n].

        Of a tuple the first is the model's answer; the others are heads inside it, which learn from the same fields.
        """
        loss = self.recipe.loss
        heads = out if isinstance(out, tuple) else (out,)
        parts, *others = (self.task.losses(model, head, fields, weights, self.class_weights) for head in heads)
        for other in others:
            parts = {name: part + loss.auxiliary * other[name] for name, part in parts.items()}
        if self.teacher is None or loss.distill is None:
            return parts
        taught = self.task.distance(heads[0], self.teacher(x), loss.distill.temperature)
        share = loss.distill.weight
        return {name: (1 - share) * part for name, part in parts.items()} | {"taught": share * (taught * weights).sum()}
