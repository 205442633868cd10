"""What all GPUs do together, a process each: NCCL's sums, DDP, SyncBN. Two processes and gloo where there are none."""

import json
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from benchmarks.gpu_trainings import Found, Size, bare, make_recipe, wait
from pipeline.base.errors import ZoetropeError
from pipeline.training.distributed import Process, synchronise_norms, wrap


def take_part(rank: int, world: int, size: Size, folder: Path) -> None:
    """One process of those that compute together; the first one writes down what was found."""
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", rank) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    backend = "nccl" if cuda else "gloo"
    meeting = f"file://{folder / 'meeting'}"
    distributed.init_process_group(backend, init_method=meeting, rank=rank, world_size=world)
    process = Process(rank, world, device)
    found: Found = {"backend": backend, "world": world, "all_reduce_gb_per_s": all_reduce(process, size.reduced_mib)}
    if world > 1:
        recipe = make_recipe("image", {"precision": "bf16"}, size)
        found["alone_samples_per_s"] = alone = bare(recipe, size, device)["samples_per_s"]
        ddp = bare(recipe, size, device, partial(wrap, process=process))
        found["ddp_over_alone"] = ddp["samples_per_s"] / alone
        try:
            found["sync_bn_differs_by"] = norms_differ_by(process)
            synchronised = bare(recipe, size, device, lambda model: wrap(synchronise_norms(model, process), process))
            found["sync_bn_over_alone"] = synchronised["samples_per_s"] / alone
        except ZoetropeError as error:
            found["sync_bn"] = str(error)
    else:
        found["sync_bn"] = "a world of 1: DDP and sync_bn have nobody to agree with, so neither ran"
    if rank == 0:
        (folder / "found.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


def all_reduce(process: Process, mib: int) -> float:
    """GB/s of sums over all processes, that are checked; in a world of 1 it is a copy at most."""
    values = torch.full((mib * 2**18,), process.rank + 1.0, device=process.device)
    distributed.all_reduce(values)
    if not bool((values == process.world * (process.world + 1) / 2).all()):
        raise RuntimeError("all_reduce gave another sum")
    wait(process.device)
    began_s = time.perf_counter()
    for _ in range(10):
        distributed.all_reduce(values)
    wait(process.device)
    return 10 * values.nbytes / (time.perf_counter() - began_s) / 1e9


@torch.no_grad()
def norms_differ_by(process: Process) -> float:
    """The most by which a synchronised norm of this rank's samples is off a norm over the samples of all."""
    norm = synchronise_norms(nn.BatchNorm2d(4), process).to(process.device)
    x = torch.randn(8 * process.world, 4, 6, 6, generator=torch.Generator().manual_seed(0)).to(process.device)
    mine = slice(process.rank, None, process.world)
    expected: Tensor = functional.batch_norm(x, None, None, training=True)
    return float((norm(x[mine]) - expected[mine]).abs().max())


def together(size: Size) -> Found:
    """What was found by as many processes as there are GPUs; by two on a CPU."""
    world = torch.cuda.device_count() if torch.cuda.is_available() else 2
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(take_part, (world, size, Path(folder)), nprocs=world)
        found: Found = json.loads((Path(folder) / "found.json").read_text())
    return found
