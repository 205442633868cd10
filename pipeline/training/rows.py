"""Rows of a validation, one a sample, of which some tasks' metrics are made."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from pipeline.tasks.base import Arrays
from pipeline.training.distributed import Process, gather_rows

SAMPLE = "sample"


def counted(rows: Mapping[str, Tensor], batch: Arrays) -> dict[str, np.ndarray]:
    """Return the rows [n, ...] of a batch's samples that count, and the samples' numbers."""
    counts = batch["weight"] > 0
    return {name: column.cpu().numpy()[counts] for name, column in rows.items()} | {SAMPLE: batch[SAMPLE][counts]}


def in_order(parts: Sequence[Arrays], process: Process) -> dict[str, np.ndarray]:
    """Return the rows of all batches of all processes in the order of samples."""
    mine = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    everyone = gather_rows(mine, process)
    order = np.argsort(everyone.pop(SAMPLE))
    return {name: column[order] for name, column in everyone.items()}
