"""Optical flow for a person: colours say where things move to, and how quickly."""

from collections.abc import Mapping

import numpy as np

from pipeline.figures.drawing import as_rgb

_MIDDLE = 127.5
_LEAST = 4.0
"""Levels of a motion that is drawn in full colour, at least: else noise would be."""


def flow_colours(clip: np.ndarray) -> np.ndarray:
    """Return the first field of each frame of a clip uint8 [T, H, W, 2 L] as colours, uint8 [T, H, W, 3] RGB.

    The hue is the direction: red to the right, yellow-green down, cyan to the left, violet up; what stands still is
    white, and the longest vector of the clip has the full colour.
    """
    import cv2

    x, y = (clip[..., axis].astype(np.float32) - _MIDDLE for axis in (0, 1))
    length = np.hypot(x, y)
    saturation = length * (255 / max(_LEAST, float(length.max())))
    hue = np.degrees(np.arctan2(y, x)) % 360 / 2
    hsv = np.stack([hue, saturation, np.full_like(hue, 255)], axis=-1).clip(0, 255).astype(np.uint8)
    frames, height, width = clip.shape[:3]
    return cv2.cvtColor(hsv.reshape(frames * height, width, 3), cv2.COLOR_HSV2RGB).reshape(frames, height, width, 3)


def shown(inputs: Mapping[str, np.ndarray], of_flow: bool = False) -> np.ndarray:
    """Return what a person is shown of a model's inputs, uint8 [(T,) H, W, 3]: frames, and their flow below them.

    of_flow: whether the `pixels` are flow
    """
    if of_flow:
        return flow_colours(inputs["pixels"])
    pixels = as_rgb(inputs["pixels"])
    return np.concatenate([pixels, flow_colours(inputs["flow"])], axis=-3) if "flow" in inputs else pixels
