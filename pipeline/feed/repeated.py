"""Repeated augmentation: each sample of a batch comes several times, with other draws each time."""

from dataclasses import dataclass

import numpy as np

from pipeline.shards.order import Positions, TrainingOrder


@dataclass(frozen=True)
class Repeated:
    """`times` copies of every sample of `order`'s batches (Hoffer et al. 2020, "Augment your batch").

    The copies follow each other batch by batch, [a, b, c, a, b, c], so that neighbours, which are mixed with each other
    or share a rank's BatchNorm, are different samples. An epoch has every sample `times` times; copies differ in
    `occurrence`, which keys their draws.
    """

    order: TrainingOrder
    times: int

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        return self.order.steps_per_epoch

    def batch(self, epoch: int, k: int) -> Positions:
        """Return the samples of step `k` of an epoch, `times` as many as the order's. IndexError outside."""
        once = self.order.batch(epoch, k)
        copy = np.repeat(np.arange(self.times), len(once))
        shard, index, sample, occurrence = (
            np.tile(values, self.times) for values in (once.shard, once.index, once.sample, once.occurrence)
        )
        return Positions(shard, index, sample, occurrence * self.times + copy)
