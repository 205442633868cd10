"""One model of each family on one device: samples/s forwards, and forwards and back, as a share of a product's speed.

In fp32 and bf16 (autocast), images channels-last on a GPU. The peak is that of a product of two square matrices in the
same precision; operations are those that torch counts in the forward, and three times as many in both directions.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import models
from benchmarks.gpu_trainings import Found
from benchmarks.pairs import seconds
from models.complexity import complexity
from models.memory_format import channels_last

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
CLASSES = {"image": 0, "mask": 21, "objects": 20}
BATCH = {3: 8, 4: 2}
"""By the dimensions of a sample: images and clips."""
TURNS = 3


def peak(device: torch.device, precision: str, side: int) -> float:
    """Operations a second of a product of two matrices, a multiply-add being two."""
    matrix = torch.randn(side, side, device=device, dtype=PRECISIONS[precision])
    matrix @ matrix
    return 2 * side**3 / min(seconds(lambda: matrix @ matrix) for _ in range(TURNS))


def measure(name: str, device: torch.device, peaks: Mapping[str, float], options: dict[str, Any]) -> Found:
    """What `name` reaches in each precision, forwards and in both directions."""
    classes = CLASSES.get(models.check_options(name).answers, 1000)
    shape = complexity(name, classes).input_shape
    model = models.build(name, classes, **options).to(device)
    x = torch.randn(BATCH[len(shape)] if device.type == "cuda" else 2, *shape, device=device)
    if x.dim() == 4 and device.type == "cuda":
        channels_last(model)
        x = x.contiguous(memory_format=torch.channels_last)
    return {precision: _in_one(model, x, precision, peaks[precision]) for precision in PRECISIONS}


def _in_one(model: nn.Module, x: Tensor, precision: str, most: float) -> Found:
    cast = nullcontext() if precision == "fp32" else torch.autocast(x.device.type, PRECISIONS[precision])

    def forward() -> None:
        with torch.inference_mode(), cast:
            model(x)

    def step() -> None:
        with cast:
            answer = model(x)
        total(answer).backward()

    with FlopCounterMode(display=False) as counted:
        model.eval()
        forward()
    found: Found = {}
    for way, work, times in (("forward", forward, 1), ("step", step, 3)):
        model.train(way == "step")
        work()
        took = min(seconds(work) for _ in range(TURNS))
        found[way] = {"samples_per_s": len(x) / took, "of_peak": times * counted.get_total_flops() / took / most}
    return found


def total(answer: Any) -> Tensor:
    """The sum of all numbers that a model gives."""
    if isinstance(answer, Tensor):
        return answer.float().sum()
    parts = answer.values() if isinstance(answer, Mapping) else answer
    return torch.stack([total(part) for part in parts]).sum()


def row(name: str, found: Found) -> str:
    """A line of the table: samples/s and share of the peak, forwards and in both directions, for each precision."""
    if "fp32" not in found:
        return f"{name:34}{found}"
    each = [found[precision][way] for precision in PRECISIONS for way in ("forward", "step")]
    return f"{name:34}" + "".join(f"{one['samples_per_s']:10.1f}{one['of_peak']:7.1%}" for one in each)
