"""The size of each training batch, where the recipe names several: multi-scale training."""

from typing import TYPE_CHECKING

from pipeline.base.keyed import generator
from pipeline.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor


def scaled(size: tuple[int, ...], short_px: int) -> tuple[int, ...]:
    """Return (H, W) in px of a view of `size` whose shorter side becomes `short_px`."""
    return tuple(round(side * short_px / min(size)) for side in size)


def batch_size_px(recipe: Recipe, size: tuple[int, ...], place: tuple[int, int]) -> tuple[int, ...]:
    """Return (H, W) in px of the batch at (epoch, k), of views of `size`: one of `train.sizes`, each as likely.

    The draw is the batch's own, whoever makes which part of it (Redmon and Farhadi 2017, "YOLO9000", section 2, draw
    every tenth batch).
    """
    sizes = recipe.train.sizes
    return scaled(size, sizes[generator(recipe.seed, "size", *place).integers(len(sizes))]) if sizes else size


def resized(x: "Tensor", size: tuple[int, ...]) -> "Tensor":
    """Return pictures float [n, C, H, W] in another size (H, W), bilinear."""
    from torch.nn.functional import interpolate

    return interpolate(x, list(size), mode="bilinear", align_corners=False)
