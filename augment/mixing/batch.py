"""Mixing a rank's part of a batch, group by group, each with its own key."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from augment.mixing.base import Mixing
from pipeline.base.keyed import Part, generator


@dataclass(frozen=True)
class Mixed:
    """A batch, or a part of one, after mixing.

    pixels:  float [n, ..., H, W]
    index:   int64 [n, M], the samples that are seen in each, by their place in this part
    weights: float32 [n, M], the share of each; rows sum to 1
    """

    pixels: Tensor
    index: Tensor
    weights: Tensor


def mix(x: Tensor, mixing: Mixing, group_size: int, *key: Part, first_group: int = 0) -> Mixed:
    """Mix float x [n, ..., H, W], cut into groups of `group_size` neighbours of which the last may be smaller.

    Group j draws from `(*key, first_group + j)`; with the key (seed, "mix", epoch, k) and the number of this part's
    first group in the whole batch, every rank and micro-batch mixes as one process would.
    """
    pixels, index, weights = [], [], []
    for number, start in enumerate(range(0, len(x), group_size), first_group):
        group = mixing(x[start : start + group_size], generator(*key, number))
        size = len(group.pixels)
        pixels.append(group.pixels)
        index.append(start + (np.arange(size)[:, None] + group.shifts) % size)
        weights.append(np.tile(group.weights, (size, 1)))
    most = max(part.shape[1] for part in weights)
    # A group that mixes fewer samples names one of them again, with weight 0
    index = [np.pad(part, ((0, 0), (0, most - part.shape[1])), "edge") for part in index]
    weights = [np.pad(part, ((0, 0), (0, most - part.shape[1]))) for part in weights]
    return Mixed(
        torch.cat(pixels),
        torch.from_numpy(np.concatenate(index)).to(x.device, non_blocking=True),
        torch.from_numpy(np.concatenate(weights).astype(np.float32)).to(x.device, non_blocking=True),
    )
