"""Which transforms cannot transform pictures of other channels and bits than RGB of 8: found by trying them."""

from typing import Any

import albumentations as A
import numpy as np
import numpy.typing as npt

from augment.boxes import RandomIoUCrop
from augment.operations import Steps
from augment.own import OWN
from pipeline.base.bands import RGB, Bands

SIDE_PX = 256
OF_EIGHT_BITS = (A.Solarize, *(cls for cls in OWN.values() if cls is not RandomIoUCrop))
"""What they do is said in levels from 0 to 255."""


def unsuited(transform: A.BasicTransform, bands: Bands) -> str:
    """Say why a transform cannot transform pictures of these `bands`; "" where it can.

    What it makes of one must have as many channels and the same type. One that fits no RGB picture of 256 px, such as a
    large crop, is not looked at. Policies and their operations draw, and are published for RGB, so they are not tried.
    """
    if bands == RGB:
        return ""
    if bands.bits != RGB.bits and isinstance(transform, OF_EIGHT_BITS):
        return f"is for levels of 8 bits, and the pictures are {bands}; leave it out"
    if isinstance(transform, Steps):
        return f"is of RGB pictures, and these are {bands}; leave it out"
    try:
        _tried(transform, RGB)
    except Exception:  # of whatever it asks for
        return ""
    try:
        made = _tried(transform, bands)
        fits = made.ndim == 3 and made.shape[2] == bands.channels and made.dtype == bands.dtype
    except Exception:  # ValueError, TypeError, cv2.error, ...: as many kinds as transforms
        fits = False
    return "" if fits else f"cannot transform pictures that are {bands}; leave it out"


def _tried(transform: A.BasicTransform, bands: Bands) -> npt.NDArray[Any]:
    """Apply it to a picture of slow waves, with draws that are always the same."""
    rows, columns, channels = np.ogrid[:SIDE_PX, :SIDE_PX, : bands.channels]
    waves = 0.5 + 0.5 * np.sin(rows / 17 + columns / 23 + channels)
    transform.set_random_seed(0)
    made: npt.NDArray[Any] = transform(force_apply=True, image=(waves * bands.white).astype(bands.dtype))["image"]
    return made
