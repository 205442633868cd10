"""The learning rate of a step, as arithmetic: no state, so a training can go on at any step."""

import math
from collections.abc import Callable

Curve = Callable[[float], float]
"""Factor of the peak learning rate over the progress after warm-up, 0..1."""


def cosine(progress: float) -> float:
    """Half a cosine from 1 to 0 (Loshchilov & Hutter 2017, eq. 5, without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def constant(progress: float) -> float:
    """1 all the way."""
    return 1.0


CURVES: dict[str, Curve] = {"cosine": cosine, "constant": constant}


def factor(step: int, total_steps: int, warmup_steps: int, curve: Curve) -> float:
    """Factor of the peak learning rate at optimizer step `step` = 0 ... total_steps - 1.

    Warm-up is linear, a step at a time (Goyal et al. 2017, section 2.2): step s runs at (s + 1) / (warmup_steps + 1),
    so the first step is not lost on a rate of 0, and the curve's first step, which follows, is the first at 1.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return curve((step - warmup_steps) / max(1, total_steps - warmup_steps))
