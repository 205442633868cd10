"""The form in which exported models predict (`models.inference`) against the plain module.

    python -m benchmarks.inference [NAME...] [--batch 1] [--turns 5] [--threads 1]

Published sizes, float32, the same random input. Processor time by the median of turns that alternate; the largest
difference of the outputs is in units of the largest output. Wanted: 1.3 for resnet50, mobilenetv2 and tsm_resnet50.
"""

import argparse
import copy
import statistics
from collections.abc import Callable
from functools import partial
from time import process_time

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import models
from benchmarks.pairs import in_turns
from models.inference import prepare
from models.memory_format import CHANNELS_LAST
from pipeline.base.errors import unknown

NAMES = (
    *("resnet50", "mobilenetv2", "tsm_resnet50", "se_resnet50", "densenet121", "vgg16_bn", "hornet_tiny_7x7"),
    *("r3d_18", "i3d", "s3d", "slowfast_4x16_r50", "deeplabv3_resnet50", "unet_bn", "ssd300_vgg16", "yolov5s"),
)
CLASSES = 10


def main() -> None:
    """Print a line a name."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print(f"{'':20}{'plain ms':>10}{'prepared ms':>13}{'times':>7}{'difference':>12}")
    for name in asked.names:
        if name not in models.names():
            raise SystemExit(unknown("model", name, models.names()))
        plain, prepared, difference = compared(name, asked.batch, asked.turns)
        print(
            f"{name:20}{plain * 1e3:10.1f}{prepared * 1e3:13.1f}{plain / prepared:7.2f}{difference:12.1e}", flush=True
        )


def compared(name: str, batch: int, turns: int) -> tuple[float, float, float]:
    """Seconds of the plain module and of the other, and how far their outputs are apart."""
    model = models.build(name, CLASSES).eval()
    with torch.device("meta"):
        twin = models.build(name, CLASSES)
    ready = copy.deepcopy(model)
    x = torch.randn(batch, *models.check_options(name).input_shape)
    prepare(ready, twin, x.to("meta"))
    laid = x.contiguous(memory_format=CHANNELS_LAST[x.ndim])
    ways: dict[str, Callable[[], float]] = {
        "plain": partial(seconds, model, x),
        "prepared": partial(seconds, ready, laid),
    }
    found = {way: statistics.median(times) for way, times in in_turns(ways, turns).items()}
    with torch.inference_mode():
        pairs = zip(tree_leaves(model(x)), tree_leaves(ready(laid)), strict=True)
        apart = max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs if isinstance(a, Tensor))
    return found["plain"], found["prepared"], apart


def seconds(model: nn.Module, x: Tensor) -> float:
    """Of one forward pass, of the processor."""
    with torch.inference_mode():
        start = process_time()
        model(x)
        return process_time() - start


if __name__ == "__main__":
    main()
