"""Models against direct transcriptions of their papers' equations: same weights, same inputs, one run.

    python -m benchmarks.models [divided] [hornet] [scaling]
    python -m benchmarks.models every [NAME...]
    python -m benchmarks.models --official FOLDER [NAME...]

The second command has no peers: every name, or those given, at its published size beside what the machine can do. The
third has the publishers' own code, see `benchmarks.official`. In the others, a ratio is peer over ours, in inference or
in a training step (forward and backward): above 1 we are faster. Outputs are compared before anything is timed. On CPU
one or two blocks stand for TimeSformer's twelve, which are all alike, and "attention alone" gives the transcription our
linear layers too (`models.linear`), which are quicker there than torch's.
"""

import copy
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Before torch is imported: see benchmarks.pairs.compare_time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

import models
from benchmarks import direct_hornet, direct_timesformer, official
from benchmarks.pairs import compare_time, peak_bytes, seconds
from models.complexity import complexity
from models.inference import Packed
from models.linear import Linear, LinearGELU
from models.memory_format import channels_last

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LARGEST = 600e9
TURNS = 20 if DEVICE == "cuda" else 3


def divided() -> None:
    """TimeSformer's divided attention against explicit softmax."""
    for name, blocks in (("timesformer_base", 2), ("timesformer_hr", 1)):
        model = fresh(name, depth=12 if DEVICE == "cuda" else blocks)
        direct = direct_timesformer.make_direct(copy.deepcopy(model))
        # Half of the larger model's frames are enough to see what larger frames do.
        x = inputs(name, 4 if DEVICE == "cuda" else 1)[:, :, :8]
        what = f"{name.removeprefix('timesformer_')} 8x{x.shape[-1]}"
        if DEVICE == "cpu":
            compare(f"{what}, attention alone", model, direct, x)
        compare(what, model, with_plain_linear(direct), x)


def hornet() -> None:
    """HorNet against maps in the usual layout with a depth-wise convolution a gate."""
    for name in ("hornet_tiny_7x7", "hornet_tiny_gf"):
        model = fresh(name)
        direct = direct_hornet.make_direct(copy.deepcopy(model))
        compare(name, model, with_plain_linear(direct), inputs(name, 64 if DEVICE == "cuda" else 2))


def scaling() -> None:
    """One block of joint and of divided attention on longer and longer clips of 7 x 7 patches."""
    print(f"{'N*T':>6} {'N+T':>5} {'keys a token: joint':>20} {'divided':>8} {'ms: joint':>10} {'divided':>8}")
    places, width = 49, 192
    for frames in (8, 16, 32, 64):
        design: dict[str, Any] = {"depth": 1, "width": width, "heads": 3, "frames": frames, "size_px": 112}
        clip = torch.randn(1, 3, frames, 112, 112, device=DEVICE)
        joint = fresh("timesformer_base", attention="joint_space_time", **design)
        model = fresh("timesformer_base", **design)
        time = compare_time(step(model, clip, torch.float32, False), step(joint, clip, torch.float32, False), TURNS)
        keys = [attention_products(each, clip) / (2 * width * places * frames) for each in (joint, model)]
        print(
            f"{places * frames:>6} {places + frames:>5} {keys[0]:>20.1f} {keys[1]:>8.1f} "
            f"{time.peer * 1e3:>10.1f} {time.ours * 1e3:>8.1f}"
        )


def compare(what: str, ours: nn.Module, peer: nn.Module, x: Tensor) -> None:
    """Print a row for each precision, in inference and in training."""
    with torch.no_grad():
        torch.testing.assert_close(ours(x), peer(x), rtol=1e-3, atol=1e-3)
    packed = any(isinstance(module, Packed) for module in ours.modules())  # which neither learns nor computes in bf16
    for dtype in (torch.float32,) if packed else (torch.float32, torch.bfloat16):
        for training in (False,) if packed else (False, True):
            works = [step(model, x, dtype, training) for model in (ours, peer)]
            time, memory = compare_time(works[0], works[1], TURNS), [peak_bytes(work) / 1e6 for work in works]
            case = f"{what:32} {str(dtype).removeprefix('torch.'):8} {'training' if training else 'inference':9}"
            print(
                f"{case} {time.ratio:5.2f} ({time.low:.2f}-{time.high:.2f})"
                f"  ms {time.peer * 1e3:6.0f} / {time.ours * 1e3:6.0f}  MB {memory[1]:6.0f} / {memory[0]:6.0f}",
                flush=True,
            )


def step(model: nn.Module, x: Tensor, dtype: torch.dtype, training: bool) -> Callable[[], None]:
    """Work to be timed: a forward, and a backward too when `training`; bfloat16 means autocast."""

    def work() -> None:
        model.zero_grad(set_to_none=True)
        with (
            torch.set_grad_enabled(training),
            torch.autocast(DEVICE, dtype=dtype, enabled=dtype != torch.float32),
        ):
            logits = model(x)
        if training:
            logits.float().sum().backward()

    return work


def fresh(name: str, **options: Any) -> Any:
    """A model in evaluation whose zero-started branches do something."""
    torch.manual_seed(0)
    model = models.build(name, 400, drop_path=0.0, **options).to(DEVICE).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.02 * torch.randn_like(p))
    return model


def inputs(name: str, samples: int) -> Tensor:
    """Random clips or images of the published size."""
    return torch.randn(samples, *models.check_options(name).input_shape, device=DEVICE)


def with_plain_linear(model: nn.Module) -> nn.Module:
    """`model` with torch's own linear layers, in place."""
    plain = {Linear: nn.Linear, LinearGELU: PlainLinearGELU}
    for module in model.modules():
        if type(module) in plain:
            module.__class__ = plain[type(module)]  # type: ignore[assignment]  # ours are derived and have no more state
    return model


class PlainLinearGELU(nn.Linear):
    """torch's own linear layer, and the GELU behind it."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, ..., C] -> [B, ..., out_features]."""
        return functional.gelu(super().forward(x))


def attention_products(model: nn.Module, x: Tensor) -> float:
    """Multiply-adds of queries by keys and weights by values; on the meta device they alone are batched products."""
    meta = copy.deepcopy(model).to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        meta(x.to("meta"))
    return counter.get_flop_counts()["Global"][torch.ops.aten.bmm] / 2


def every(names: Sequence[str]) -> None:
    """Print what a forward of one sample takes, and its multiply-adds a second as a share of the machine's peak.

    The peak is that of a product of two matrices of 2,048 x 2,048 on as many threads, and seconds are as in
    the ratios: the processor's on CPU. Depth-wise convolutions and norms
    move bytes more than they multiply: their share is low by nature. What takes above `LARGEST` is left out.
    """
    matrix = torch.randn(2048, 2048, device=DEVICE)
    peak = len(matrix) ** 3 / least_seconds(lambda: matrix @ matrix, 20)
    print(f"peak: {peak / 1e9:.0f} G multiply-adds/s")
    print(f"{'':34} {'input':>16} {'parameters':>11} {'GMACs':>7} {'ms':>7} {'of peak':>7}")
    for name in names or models.names():
        options = models.check_options(name)
        classes = {"image": 0, "mask": 21, "objects": 20}.get(options.answers, 1000)
        cost = complexity(name, classes)
        if cost.multiply_adds > LARGEST:
            print(f"{name:34} {cost.multiply_adds / 1e9:.0f} GMACs: left out")
            continue
        model = models.build(name, classes).to(DEVICE).eval()
        x = torch.randn(1, *cost.input_shape, device=DEVICE)
        if x.dim() == 4:  # images are channels-last, clips are not
            channels_last(model)
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            spent = least_seconds(lambda: model(x))  # noqa: B023  # called here
        shape = "x".join(str(size) for size in cost.input_shape)
        print(
            f"{name:34} {shape:>16} {cost.parameters:11,} {cost.multiply_adds / 1e9:7.2f} {spent * 1e3:7.1f} "
            f"{cost.multiply_adds / spent / peak:7.1%}",
            flush=True,
        )


def least_seconds(work: Callable[[], Any], turns: int = 3) -> float:
    """Return the least seconds of so many calls, after one that warms up; see `benchmarks.pairs.seconds`."""
    work()
    return min(seconds(work) for _ in range(turns))


SECTIONS = {"divided": divided, "hornet": hornet, "scaling": scaling}

if __name__ == "__main__":
    if sys.argv[1:2] == ["every"]:
        every(sys.argv[2:])
        sys.exit()
    if sys.argv[1:2] == ["--official"]:
        official.compared(Path(sys.argv[2]), sys.argv[3:], compare)
        sys.exit()
    for section in sys.argv[1:] or SECTIONS:
        print(f"\n{section}: {SECTIONS[section].__doc__} {DEVICE}, {torch.get_num_threads()} threads, peer / ours")
        SECTIONS[section]()
