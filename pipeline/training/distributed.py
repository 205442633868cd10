"""What one of several training processes knows of the others; all of it is also true for a single one."""

import json
from dataclasses import dataclass
from typing import Any

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
    mine = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8).to(process.device)
    lengths = [torch.zeros(1, dtype=torch.int64, device=process.device) for _ in range(process.world)]
    distributed.all_gather(lengths, torch.tensor([len(mine)], device=process.device))
    padded = torch.zeros(int(max(lengths)), dtype=torch.uint8, device=process.device)
    padded[: len(mine)] = mine
    texts = [torch.empty_like(padded) for _ in lengths]
    distributed.all_gather(texts, padded)
    return [json.loads(bytes(text[: int(n)].cpu().numpy())) for text, n in zip(texts, lengths, strict=True)]


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
