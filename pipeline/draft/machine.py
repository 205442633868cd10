"""What this machine has for a training, and how large a batch may be there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.cluster.resources import cores

SHARE = 0.5
"""Of the memory that a training may take: the rest is for what the count leaves out, and for others."""
MOST_BATCH = 128
SMALL_BATCH = 8
"""Fewer samples give BatchNorm poor statistics."""
FEWEST_STEPS = 8
"""Of an epoch: a batch is not larger than that allows."""


@dataclass(frozen=True)
class Machine:
    """memory_bytes: of the GPU where there is one, else of the machine."""

    cores: int
    memory_bytes: int
    gpu: bool

    @property
    def words(self) -> str:
        """Say it in a few words."""
        return f"{self.cores} cores, {'a GPU of ' if self.gpu else 'no GPU, '}{self.memory_bytes / 2**30:.0f} GiB"


def this_machine() -> Machine:
    """Look at this machine. Loads torch."""
    import psutil
    import torch

    gpu = torch.cuda.is_available()
    memory = torch.cuda.get_device_properties(0).total_memory if gpu else psutil.virtual_memory().total
    return Machine(cores(), memory, gpu)


def batch_size(machine: Machine, model: Mapping[str, Any], classes: int, shape: tuple[int, ...], train: int) -> int:
    """Choose a power of two: of `train` samples an eighth at most, of few samples a half; and what fits in memory.

    shape: of a sample as the model sees it: (3, H, W) or (3, T, H, W)
    """
    from models import check_options
    from models.complexity import training_bytes

    few = max(min(SMALL_BATCH, train // 2), min(2, train))
    batch = min(MOST_BATCH, 1 << max(train // FEWEST_STEPS, few).bit_length() - 1)
    options = {key: value for key, value in model.items() if key not in ("kind", "weights")}
    fixed, each = training_bytes(check_options(model["kind"], **options), max(classes, 2), shape)
    while batch > 2 and fixed + batch * each > SHARE * machine.memory_bytes:
        batch //= 2
    return batch
