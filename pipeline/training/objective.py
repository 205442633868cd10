"""What a training step minimises: everything between its normalised batch and the summed loss, but for the model."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from augment.mixing.base import Mixing
from augment.mixing.batch import mix
from augment.mixing.choose import Choose
from augment.mixing.cutmix import CutMix
from augment.mixing.mixup import Mixup, SamplePairing
from augment.mixing.ricap import Ricap
from pipeline.recipe import Recipe
from pipeline.tasks import TASKS

WAYS: dict[str, Any] = {"mixup": Mixup, "cutmix": CutMix, "ricap": Ricap, "sample_pairing": SamplePairing}


def mixing_of(options: Any) -> Mixing | None:
    """The way of mixing that a recipe's section `mixing` asks for."""
    if options.kind == "none":
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
    """Mixing and loss of a recipe for `num_classes` classes."""

    recipe: Recipe
    num_classes: int
    mixing: Mixing | None

    @classmethod
    def of(cls, recipe: Recipe, num_classes: int) -> "Objective":
        """As the recipe says."""
        return cls(recipe, num_classes, mixing_of(recipe.mixing))

    def mix(self, x: Tensor, targets: Tensor, epoch: int, k: int, first_group: int) -> tuple[Tensor, Tensor]:
        """Mix a part of batch `k` that begins with the batch's group `first_group`.

        x float [n, 3, (T,) H, W] and the task's targets [n, ...]; mixed targets are float [n, K].
        """
        if self.mixing is None:
            return x, targets
        recipe = self.recipe
        mixed = mix(x, self.mixing, recipe.mix_group, recipe.seed, "mix", epoch, k, first_group=first_group)
        task = TASKS[recipe.task.kind]
        return mixed.pixels, task.mixed_targets(targets, mixed.index, mixed.weights, self.num_classes)

    def loss_sum(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """The loss, summed over samples; logits float [n, K], weights float [n]."""
        return TASKS[self.recipe.task.kind].loss_sum(logits, targets, weights, self.recipe.loss.label_smoothing)
