"""What mixing a batch on the device costs, as a training does it, as a share of a ResNet-50 training step on it.

    python -m benchmarks.mixing [batch size]

Wanted: 1 % or less. Runs on the GPU where there is one.
"""

import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch.nn import functional

from models import build
from pipeline.recipe import Recipe, check
from pipeline.tasks import task_of
from pipeline.training.objective import Objective

CLASSES = tuple(str(number) for number in range(1000))
KINDS = ("mixup", "cutmix", "ricap", "sample_pairing")
WAYS: dict[str, dict[str, Any]] = {kind: {"kind": kind} for kind in KINDS}
WAYS["choose"] = {"kind": "choose", "of": [{"kind": kind, "probability": 0.25} for kind in KINDS]}


def recipe(mixing: dict[str, Any]) -> Recipe:
    """A recipe that mixes so."""
    crop = [{"RandomCrop": {"height": 224, "width": 224}}]
    values = {
        "name": "mixing",
        "task": {"kind": "image-classification"},
        "data": {"source": {"kind": "digits"}},
        "model": {"kind": "resnet50"},
        "augment": {"train": crop, "eval": crop},
        "optimizer": {"kind": "sgd"},
        "train": {"duration": "1ep", "batch_size": 256},
        "mixing": mixing,
    }
    return check(values, "benchmark")


def milliseconds(call: Callable[[int], Any], rounds: int, cuda: bool) -> float:
    """Mean time of `call(0)`, `call(1)`, ... after three that do not count."""
    for k in range(3 if cuda else 1):
        call(k)
    if cuda:
        torch.cuda.synchronize()
    start = perf_counter()
    for k in range(rounds):
        call(k)
    if cuda:
        torch.cuda.synchronize()
    return (perf_counter() - start) / rounds * 1e3


def main(batch_size: int) -> None:
    """Print the table."""
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    x = torch.rand(batch_size, 3, 224, 224, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(1000, (batch_size,), device=device)
    model: torch.nn.Module = build("resnet50", 1000).to(device)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def step(k: int) -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=cuda):
            logits = model(x)
        functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def mixed(objective: Objective, k: int) -> None:
        if drawn := objective.draw(len(x), x.shape[-2:], (0, k), 0, device):
            drawn.apply(x)
            objective.task.mixed({"label": labels}, drawn)

    whole = milliseconds(step, 50 if cuda else 2, cuda)
    print(f"{device.type}, batch of {batch_size}: a ResNet-50 step takes {whole:.1f} ms")
    for name, way in WAYS.items():
        objective = Objective(recipe(way), task_of(recipe(way), CLASSES))
        cost = milliseconds(partial(mixed, objective), 200 if cuda else 10, cuda)
        print(f"{name:14}{cost:8.2f} ms {cost / whole:8.2%}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else (256 if torch.cuda.is_available() else 8))
