"""Linear scaling of the learning rate with the global batch."""


def scaled_lr(lr: float, batch_size: int, base_batch: int) -> float:
    """`lr` of a batch of `base_batch` samples, for a global batch of `batch_size` (Goyal et al. 2017, section 2.1).

    >>> [scaled_lr(0.1, batch, 256) for batch in (32, 128, 256, 512, 8192)]
    [0.0125, 0.05, 0.1, 0.2, 3.2]
    """
    return lr * batch_size / base_batch
