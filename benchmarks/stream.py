"""Latency of TSM frame by frame beside the model on whole clips, at batch 1: what `stream` does at each frame.

    OMP_NUM_THREADS=1 python -m benchmarks.stream [FRAMES]

Seconds are the processor's, medians of turns in one process. "clip" is what an offline model computes for an answer:
all of its 8 frames; the online one computes one frame and keeps caches. Their answers are compared first.
"""

import statistics
import sys
from functools import partial

import torch

import models
from benchmarks.pairs import in_turns, quotients, seconds
from models.tsm_online import OnlineTSM

NAMES = {"tsm_resnet50": (224, {}), "tsm_mobilenetv2": (224, {}), "tsm_resnet18": (56, {"width": 16})}
CLIP, TURNS = 8, 9


def main(frames: str = "8") -> None:
    """Print a line a model."""
    print(f"{'':24} {'clip ms':>8} {'frame ms':>8} {'clip / frame':>22} {'caches kB':>9}")
    for name, (side, options) in NAMES.items():
        torch.manual_seed(0)
        model = models.build(name, 27, direction="past", **options).eval()
        online, x = OnlineTSM(model).eval(), torch.randn(1, 3, int(frames), side, side)
        with torch.inference_mode():
            state, steps = None, []
            for t in range(x.shape[2]):
                logits, state = online(x[:, :, t], state)
                steps.append(logits)
            torch.testing.assert_close(torch.stack(steps).mean(0), model(x), rtol=1e-4, atol=1e-4)
            ways = {
                "clip": partial(seconds, partial(model, x)),
                "frame": partial(seconds, partial(online, x[:, :, 0], state)),
            }
            found = in_turns(ways, TURNS)
        assert state is not None
        kept = sum(cache.numel() * cache.element_size() for cache in state) / 1e3
        clip, frame = (statistics.median(found[way]) * 1e3 for way in ("clip", "frame"))
        ratio = quotients(found["clip"], found["frame"])
        print(f"{name + f' {side} px':24} {clip:8.1f} {frame:8.1f} {ratio:>22} {kept:9.0f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
