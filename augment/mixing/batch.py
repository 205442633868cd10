"""Mixing a rank's part of a batch, group by group, each with its own key: first what is drawn, then the pixels."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from augment.mixing.base import Draw, Mixing
from augment.mixing.mixup import mixup
from augment.mixing.patches import paste
from pipeline.base.keyed import Part, generator


@dataclass(frozen=True)
class Drawn:
    """What is to become of a batch, or of a part of one.

    groups:  each group's place in this part, and what was drawn for it
    index:   int64 [n, M], the samples that are seen in each, by their place in this part
    weights: float32 [n, M], the share of each; rows sum to 1
    """

    groups: tuple[tuple[slice, Draw], ...]
    index: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> "Drawn":
        """Return it with its tensors on a device."""
        index, weights = (part.to(device, non_blocking=True) for part in (self.index, self.weights))
        return Drawn(self.groups, index, weights)

    def apply(self, x: Tensor) -> Tensor:
        """Return pixels after mixing; float x [n, ..., H, W] stays as it was."""
        return torch.cat(self.parts(x))

    def parts(self, x: Tensor) -> list[Tensor]:
        """Return those of each group."""
        return [apply(x[place], draw) for place, draw in self.groups]


def apply(x: Tensor, draw: Draw) -> Tensor:
    """Return a group's pixels after mixing; float x [g, ..., H, W] stays as it was.

    Of pictures alone, [g, C, H, W], where these are zoomed.
    """
    if draw.blend is not None:
        return mixup(x, *draw.blend)
    if draw.zoom is None:
        return paste(x, draw.shifts, draw.patches)
    size = [round(side * factor) for side, factor in zip(x.shape[2:], draw.zoom, strict=True)]
    zoomed = functional.interpolate(x, size, mode="bilinear", align_corners=False)
    return paste(zoomed, draw.shifts, draw.patches, onto=torch.zeros_like(x))


def draw_batch(
    mixing: Mixing, n: int, group_size: int, height: int, width: int, *key: Part, first_group: int = 0
) -> Drawn:
    """Draw for `n` samples of height x width px, in groups of `group_size` neighbours of which the last may be smaller.

    Group j draws from `(*key, first_group + j)`; with the key (seed, "mix", epoch, k) and the number of this part's
    first group in the whole batch, every rank and micro-batch mixes as one process would.
    """
    groups, index, weights = [], [], []
    for number, start in enumerate(range(0, n, group_size), first_group):
        size = min(group_size, n - start)
        draw = mixing.draw(generator(*key, number), size, height, width)
        groups.append((slice(start, start + size), draw))
        index.append(start + (np.arange(size)[:, None] + draw.shifts) % size)
        weights.append(np.tile(draw.weights, (size, 1)))
    most = max(part.shape[1] for part in weights)
    # A group that mixes fewer samples names one of them again, with weight 0
    index = [np.pad(part, ((0, 0), (0, most - part.shape[1])), "edge") for part in index]
    weights = [np.pad(part, ((0, 0), (0, most - part.shape[1]))) for part in weights]
    return Drawn(
        tuple(groups),
        torch.from_numpy(np.concatenate(index)),
        torch.from_numpy(np.concatenate(weights).astype(np.float32)),
    )
