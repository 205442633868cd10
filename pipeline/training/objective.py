"""What a training step minimises: everything between its normalised batch and the loss, but for the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from augment.mixing.base import Mixing
from augment.mixing.batch import Drawn, draw_batch
from augment.mixing.choose import Choose
from augment.mixing.copy_paste import CopyPaste
from augment.mixing.cutmix import CutMix
from augment.mixing.mixup import Mixup, SamplePairing
from augment.mixing.mosaic import Mosaic
from augment.mixing.ricap import Ricap
from pipeline.recipe import Recipe
from pipeline.recipe.mixing import mixes
from pipeline.shards.dataset import Dataset
from pipeline.tasks import task_of
from pipeline.tasks.base import Fields, Inputs, Task
from pipeline.training.class_weights import loss_weights
from pipeline.training.distill import Teacher, load_teacher
from pipeline.training.distributed import Process, add_up

WAYS: dict[str, Any] = {
    "mixup": Mixup,
    "cutmix": CutMix,
    "ricap": Ricap,
    "mosaic": Mosaic,
    "sample_pairing": SamplePairing,
    "copy_paste": CopyPaste,
}


def mixing_of(options: Any) -> Mixing | None:
    """Return the way of mixing that a recipe's section `mixing` asks for."""
    if not mixes(options):
        return None
    ways = options.of if options.kind == "choose" else [options]
    if len(ways) == 1 and ways[0].probability == 1:
        return _way(ways[0])
    return Choose(tuple((_way(one), one.probability) for one in ways))


def _way(options: Any) -> Mixing:
    way: Mixing = WAYS[options.kind](**options.model_dump(exclude={"kind", "probability", "until"}))
    return way


@dataclass(frozen=True)
class Objective:
    """Mixing and loss of a recipe and its task; class_weights float [K]."""

    recipe: Recipe
    task: Task
    class_weights: Tensor | None = None
    teacher: Teacher | None = None
    mixes: bool = True
    """Whether samples are mixed, as the recipe says; see `mixing.until`."""

    @classmethod
    def of(cls, recipe: Recipe, dataset: Dataset, device: torch.device) -> "Objective":
        """Make the objective as the recipe says, for a data set. ZoetropeError where it names what is not there."""
        task = task_of(recipe, dataset.classes)
        weights = loss_weights(recipe.loss, task, dataset)
        return cls(
            recipe,
            task,
            None if weights is None else torch.tensor(weights, device=device),
            load_teacher(recipe, dataset, device),
        )

    @cached_property
    def mixing(self) -> Mixing | None:
        """The way of mixing."""
        return mixing_of(self.recipe.mixing) if self.mixes else None

    def draw(
        self, n: int, size: tuple[int, ...], place: tuple[int, int], first_group: int, device: torch.device
    ) -> Drawn | None:
        """Draw how n samples of (height, width) are to be mixed, of the batch at (epoch, k); None: not at all.

        `first_group`: the number in the batch of the group that the first of them begins.
        """
        if self.mixing is None:
            return None
        recipe, (height, width) = self.recipe, size
        key = (recipe.seed, "mix", *place)
        return draw_batch(self.mixing, n, recipe.mix_group, height, width, *key, first_group=first_group).to(device)

    def scales(
        self,
        model: nn.Module,
        size: tuple[int, ...],
        parts: Sequence[tuple[Fields, Tensor]],
        samples: int,
        process: Process,
    ) -> dict[str, Tensor]:
        """Compute the factors that turn the sums of parts that have counts of their own into means over `samples`:
        samples / count.

        `parts` are fields and weights of this rank's micro-batches of pictures of `size`, `samples` the whole batch's.
        Counts are added up over all ranks, so that gradients do not depend on how the batch is cut.
        """
        counts = [self.task.count(model, size, fields, weights) for fields, weights in parts]
        names = sorted(counts[0])
        if not names:
            return {}
        mine = torch.stack([torch.stack([one[name] for name in names]).double() for one in counts]).sum(0)
        return dict(zip(names, (samples / add_up(mine, process).clamp_min(1)).float(), strict=True))

    def losses(self, model: nn.Module, out: Any, inputs: Inputs, fields: Fields, weights: Tensor) -> dict[str, Tensor]:
        """Compute the task's parts of the loss, each summed, of what the model gave for its inputs; weights float [n].

        Of a tuple the first is the model's answer; the others are heads inside it, which learn from the same fields.
        """
        loss = self.recipe.loss
        heads = out if isinstance(out, tuple) else (out,)
        parts, *others = (self.task.losses(model, head, fields, weights, self.class_weights) for head in heads)
        for other in others:
            parts = {name: part + loss.auxiliary * other[name] for name, part in parts.items()}
        if self.teacher is None or loss.distill is None:
            return parts
        taught = self.task.distance(heads[0], self.teacher(inputs["pixels"]), loss.distill.temperature)
        share = loss.distill.weight
        return {name: (1 - share) * part for name, part in parts.items()} | {"taught": share * (taught * weights).sum()}
