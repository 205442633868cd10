"""Scaling of the learning rate with the global batch."""

import math


def scaled_lr(lr: float, batch_size: int, base_batch: int, rule: str = "linear") -> float:
    """Scale `lr` of a batch of `base_batch` samples, for a global batch of `batch_size`.

    `linear` is Goyal et al. 2017, section 2.1; `sqrt` is for adaptive optimizers (Malladi et al.
    2022, "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms"); `none` leaves it as it is.

    >>> [scaled_lr(0.1, batch, 256) for batch in (32, 128, 256, 512, 8192)]
    [0.0125, 0.05, 0.1, 0.2, 3.2]
    >>> scaled_lr(0.1, 1024, 256, "sqrt")
    0.2
    """
    ratio = batch_size / base_batch
    return lr * {"linear": ratio, "sqrt": math.sqrt(ratio), "none": 1.0}[rule]
