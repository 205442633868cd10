"""Whether samples lie sorted by class, told by neighbours alone."""

import numpy as np
from numpy.typing import NDArray

SORTED = 0.5
"""From there a user is told."""


def neighbour_excess(shards: list[NDArray[np.int64]]) -> float:
    """How much oftener than by chance two neighbours are of one class: 0 in random order, 1 when sorted by class.

    shards: labels [n] of each shard, in stored order
    """
    everything = np.concatenate(shards) if shards else np.zeros(0, np.int64)
    pairs = sum(len(labels) - 1 for labels in shards)
    alike = sum(int((labels[1:] == labels[:-1]).sum()) for labels in shards)
    sizes = np.bincount(everything).astype(np.float64)
    chance = float((sizes * (sizes - 1)).sum()) / max(1, len(everything) * (len(everything) - 1))
    return 0.0 if pairs < 1 or chance >= 1 else max(0.0, (alike / pairs - chance) / (1 - chance))
