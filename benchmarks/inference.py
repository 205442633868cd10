"""The form in which exported models predict (`models.inference`) against the plain module.

    python -m benchmarks.inference [NAME...] [--batch 1] [--turns 5] [--threads 1]

Published sizes, the same random input, in float32 and in bf16 (`evaluate.precision`). Processor time by the median of
turns that alternate; the largest difference of the outputs is in units of the largest output, and times are over the
plain module in float32. Wanted: 1.3 for resnet50, mobilenetv2 and tsm_resnet50 in float32.
"""

import argparse
import copy
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import process_time
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import models
from benchmarks.pairs import in_turns
from models.inference import prepare
from models.memory_format import CHANNELS_LAST
from pipeline.base.errors import unknown
from pipeline.training.step import DTYPES, autocast

NAMES = (
    *("resnet50", "mobilenetv2", "tsm_resnet50", "se_resnet50", "densenet121", "vgg16_bn", "hornet_tiny_7x7"),
    *(
        "swin_t",
        "timesformer_base",
        "r3d_18",
        "i3d",
        "s3d",
        "slowfast_4x16_r50",
        "deeplabv3_resnet50",
        "unet_bn",
        "ssd300_vgg16",
        "yolov5s",
    ),
)
CLASSES = 10
FORMS = {"prepared": "fp32", "in bf16": "bf16"}
"""Of prepared models: the precision that each computes in."""


def main() -> None:
    """Print a line a name."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print(f"{'':20}{'plain ms':>10}" + "".join(f"{way + ' ms':>12}{'times':>7}{'difference':>12}" for way in FORMS))
    for name in asked.names:
        if name not in models.names():
            raise SystemExit(unknown("model", name, models.names()))
        plain, others = compared(name, asked.batch, asked.turns)
        row = "".join(f"{took * 1e3:12.1f}{plain / took:7.2f}{apart:12.1e}" for took, apart in others)
        print(f"{name:20}{plain * 1e3:10.1f}{row}", flush=True)


def compared(name: str, batch: int, turns: int) -> tuple[float, list[tuple[float, float]]]:
    """Seconds of the plain module; of each of `FORMS` its seconds, and how far its outputs are from the plain one's."""
    model = models.build(name, CLASSES).eval()
    x = torch.randn(batch, *models.check_options(name).input_shape)
    laid = x.contiguous(memory_format=CHANNELS_LAST[x.ndim])
    answers: dict[str, Callable[[], Any]] = {"plain": partial(model, x)}
    for form, precision in FORMS.items():
        ready = copy.deepcopy(model)
        with torch.device("meta"):
            twin = models.build(name, CLASSES)
        prepare(ready, twin, x.to("meta"), dtype=DTYPES[precision])
        answers[form] = partial(in_precision, precision, ready, laid)
    with torch.inference_mode():
        found = {way: statistics.median(times) for way, times in in_turns(timed(answers), turns).items()}
        said = {
            way: [leaf for leaf in tree_leaves(answer()) if isinstance(leaf, Tensor)] for way, answer in answers.items()
        }
    return found["plain"], [(found[form], furthest(said["plain"], said[form])) for form in FORMS]


def in_precision(precision: str, model: nn.Module, x: Tensor) -> Any:
    """The outputs, as a predictor computes them."""
    with autocast(precision, x.device):
        return model(x)


def furthest(plain: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    """The largest difference, in units of the largest value of its tensor."""
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(plain, other, strict=True))


def timed(answers: Mapping[str, Callable[[], Any]]) -> dict[str, Callable[[], float]]:
    """The same, each giving the seconds of the processor that it took."""

    def seconds(answer: Callable[[], Any]) -> float:
        start = process_time()
        answer()
        return process_time() - start

    return {way: partial(seconds, answer) for way, answer in answers.items()}


if __name__ == "__main__":
    main()
