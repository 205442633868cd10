"""What one of several training processes knows of the others; all of it is also true for a single one."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.base.errors import ZoetropeError


@dataclass(frozen=True)
class Process:
    """This process' place among the `world` training processes, and the device that it computes on."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")


def synchronise_norms(model: nn.Module, process: Process) -> nn.Module:
    """Return the model with every BatchNorm over the batches of all processes; its parameters and their names stay the
    same.

    ZoetropeError on a CPU: PyTorch has it on GPUs only.
    """
    if process.world == 1:
        return model
    if process.device.type == "cpu":
        raise ZoetropeError(
            "train.sync_bn: PyTorch synchronises BatchNorm on GPUs only, and this training runs on CPUs. "
            "Leave it out, or set cluster.gpus_per_worker."
        )
    synchronised: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return synchronised


def wrap(model: nn.Module, process: Process) -> nn.Module:
    """Wrap the model so that gradients are averaged over all processes."""
    if process.world == 1:
        return model
    ids = [process.device.index] if process.device.type == "cuda" else None
    # Buffers (BatchNorm's running means) are read in evaluation only, and `share_buffers` equals them before it. DDP
    # would do so in every forward, for the same result: rank 0's, which a checkpoint holds too.
    return DistributedDataParallel(model, device_ids=ids, broadcast_buffers=False, gradient_as_bucket_view=True)


def add_up(values: Tensor, process: Process) -> Tensor:
    """Sum every process' `values`, which are changed in place."""
    if process.world > 1:
        distributed.all_reduce(values)
    return values


def gather(value: Any, process: Process) -> list[Any]:
    """Gather every process' `value`, which JSON can hold, in the order of ranks."""
    if process.world == 1:
        return [value]
    mine = np.frombuffer(json.dumps(value).encode(), np.uint8)
    return [json.loads(text.tobytes()) for text in _gathered(mine, process)]


def gather_rows(rows: Mapping[str, np.ndarray], process: Process) -> dict[str, np.ndarray]:
    """Lay every process' arrays [n, ...] one below the other, in the order of ranks; n may differ."""
    if process.world == 1:
        return dict(rows)
    widths = [column.itemsize * math.prod(column.shape[1:]) for column in rows.values()]
    columns = [column.reshape(-1).view(np.uint8) for column in map(np.ascontiguousarray, rows.values())]
    mine = np.concatenate([flat.reshape(-1, width) for flat, width in zip(columns, widths, strict=True)], axis=1)
    everyone = np.concatenate([part.reshape(-1, sum(widths)) for part in _gathered(mine.reshape(-1), process)])
    parts = np.split(everyone, np.cumsum(widths)[:-1], axis=1)
    return {
        name: np.ascontiguousarray(part).reshape(-1).view(column.dtype).reshape(-1, *column.shape[1:])
        for (name, column), part in zip(rows.items(), parts, strict=True)
    }


def _gathered(mine: np.ndarray, process: Process) -> list[np.ndarray]:
    """Gather every process' uint8 [bytes], of any lengths."""
    lengths = [torch.zeros(1, dtype=torch.int64, device=process.device) for _ in range(process.world)]
    distributed.all_gather(lengths, torch.tensor([len(mine)], device=process.device))
    padded = torch.zeros(int(max(lengths)), dtype=torch.uint8, device=process.device)
    padded[: len(mine)] = torch.from_numpy(mine.copy()).to(process.device)
    parts = [torch.empty_like(padded) for _ in lengths]
    distributed.all_gather(parts, padded)
    return [part[: int(n)].cpu().numpy() for part, n in zip(parts, lengths, strict=True)]


def agree(bad: dict[str, dict[int, str]], process: Process) -> None:
    """Add to each split's bad samples those that other processes have found; of two reasons the lower rank's stays."""
    everyone = gather({split: list(found.items()) for split, found in bad.items()}, process)
    for split, found in bad.items():
        merged = {sample: reason for theirs in reversed(everyone) for sample, reason in theirs[split]}
        found.clear()
        found.update(sorted(merged.items()))


def share_buffers(model: nn.Module, process: Process) -> None:
    """Give every process rank 0's buffers: the running means of BatchNorm differ from rank to rank between steps."""
    if process.world > 1:
        for buffer in model.buffers():
            distributed.broadcast(buffer, src=0)
