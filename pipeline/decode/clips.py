"""Which frames make a clip: arithmetic on frame counts, no video anywhere.

With a generator the draws are those of training; without one they are the centred ones of evaluation.
All return int64 indices in `[0, num_frames)`.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Sampling = Literal["segments", "dense"]


def segments(num_frames: int, clip_frames: int, rng: np.random.Generator | None = None) -> IntArray:
    """Return one frame out of each of `clip_frames` equal parts of the video: `[clip_frames]`, never descending.

    Training draws evenly inside each part; evaluation takes the part's middle, `floor((i + 1/2) N / T)`, TSM's uniform
    test offset. Parts are real intervals, so no frame at the end is left out, and a video shorter than the clip
    repeats frames. Temporal Segment Networks (Wang et al. 2016), section 3.1; TSM (Lin et al. 2019).
    """
    _check(num_frames, clip_frames)
    if rng is None:
        return views(num_frames, clip_frames, 1, "segments", 1)[0]
    position = (np.arange(clip_frames) + rng.random(clip_frames)) * (num_frames / clip_frames)
    # (T - 1 + u) * (N / T) can round up to N for u next to 1
    return np.minimum(position.astype(np.int64), num_frames - 1)


def dense(num_frames: int, clip_frames: int, stride: int, rng: np.random.Generator | None = None) -> IntArray:
    """Return every `stride`-th frame of one window: `[clip_frames]`.

    Training draws the window's start, evaluation centres it. A video shorter than the window is played in a loop
    from its first frame (TSM's choice).
    """
    _check(num_frames, clip_frames)
    if rng is None:
        return views(num_frames, clip_frames, 1, "dense", stride)[0]
    last_start = _last_start(num_frames, clip_frames, stride)
    return (rng.integers(last_start + 1) + stride * np.arange(clip_frames)) % num_frames


def views(num_frames: int, clip_frames: int, clips: int, sampling: Sampling, stride: int) -> IntArray:
    """Return the clips of one video in evaluation: `[clips, clip_frames]`, spread evenly over it.

    `segments`: view v takes the point (v + 1/2) / clips of every part. `dense`: the starts run in equal steps from the
    first possible one to the last, `linspace(0, N - window, clips)` rounded down as TSM does; one clip is centred.
    """
    _check(num_frames, clip_frames)
    step = np.arange(clip_frames)
    if sampling == "segments":
        # floor((i + (v + 1/2) / clips) * N / T) in integers, where floats would round wrongly
        doubled = 2 * clips * step + (2 * np.arange(clips) + 1)[:, None]
        return doubled * num_frames // (2 * clips * clip_frames)
    last_start = _last_start(num_frames, clip_frames, stride)
    starts = np.array([last_start // 2]) if clips == 1 else np.arange(clips) * last_start // (clips - 1)
    return (starts[:, None] + stride * step) % num_frames


def _last_start(num_frames: int, clip_frames: int, stride: int) -> int:
    return max(0, num_frames - ((clip_frames - 1) * stride + 1))


def _check(num_frames: int, clip_frames: int) -> None:
    if num_frames < 1 or clip_frames < 1:
        raise ValueError(f"a clip of {clip_frames} frames cannot be taken from a video of {num_frames}")
