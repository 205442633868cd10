"""What the temporal shift costs: TSM over TSN on the same backbone, in turns in one process; 1.00 is nothing.

    python -m benchmarks.models_tsm --rounds 15

Wanted: at most 1.01 on ResNet-50. Inference on CPU shifts in place and undoes it; "by copy" is as on GPUs and, for the
forward pass, in training. The paper says 1.03 for a shift of 1/8 (section 3); the authors' code took 1.09 on two cores.

Three matrix products over views offset by a frame, which move nothing, were measured too and given up: torch runs them
on MKL's sgemm, which needs 158 ms for ResNet-50's sixteen 1x1 convolutions (2 threads, AMD EPYC) where oneDNN needs 70
with the shift's copy adding 23.
"""

import argparse
import os
from collections.abc import Callable
from typing import Any
from unittest import mock

# Before torch is imported: see benchmarks.pairs.compare_time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import nn

import models
from benchmarks.pairs import Ratio, compare_time, peak_bytes


def main() -> None:
    """Print a row for every backbone, and inference and training step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["resnet50", "resnet18", "mobilenetv2"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size-px", type=int, default=224)
    parser.add_argument("--clips", type=int, default=1)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"{device}, {torch.get_num_threads()} threads, {arguments.frames} x {arguments.size_px} px, channels-last")
    shape = (arguments.clips, arguments.frames, arguments.size_px, arguments.size_px, 3)
    clips = torch.randn(shape, device=device).permute(0, 4, 1, 2, 3)
    for backbone in arguments.backbones:
        tsn, tsm = (_model(f"{family}_{backbone}", device) for family in ("tsn", "tsm"))
        for what, run in (("inference", _infer), ("by copy", _infer_by_copy), ("training step", _train)):
            ratio = compare_time(_work(run, tsm, clips), _work(run, tsn, clips), arguments.rounds)
            memory = [peak_bytes(_work(run, model, clips)) / 2**20 for model in (tsn, tsm)]
            print(
                f"{backbone:12} {what:14} {_cost(ratio)}   TSN {ratio.peer * 1e3:5.0f} ms, {memory[0]:5.0f} MiB"
                f"   TSM {ratio.ours * 1e3:5.0f} ms, {memory[1]:5.0f} MiB",
                flush=True,
            )


def _model(name: str, device: str) -> nn.Module:
    torch.manual_seed(0)
    model = models.build(name, 400).to(device)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it


def _cost(ratio: Ratio) -> str:
    """Ours over the peer's, with quartiles; `Ratio` has it the other way round."""
    return f"{1 / ratio.ratio:.3f} ({1 / ratio.high:.3f} to {1 / ratio.low:.3f})"


def _work(run: Callable[..., None], *given: Any) -> Callable[[], None]:
    return lambda: run(*given)


def _infer(model: nn.Module, clips: torch.Tensor) -> None:
    with torch.no_grad():
        model.eval()(clips)


def _infer_by_copy(model: nn.Module, clips: torch.Tensor) -> None:
    with mock.patch("models.shift.can_shift_in_place", return_value=False):
        _infer(model, clips)


def _train(model: nn.Module, clips: torch.Tensor) -> None:
    model.train().zero_grad()
    model(clips).square().sum().backward()


if __name__ == "__main__":
    main()
