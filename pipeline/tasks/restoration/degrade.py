"""A good picture made a bad one: what a restoration learns to undo. Keyed draws, in the feed, without torch."""

from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.decode.image import decode_image, encode_jpeg

if TYPE_CHECKING:
    from pipeline.recipe.restoring import Degrade, Range

UInt8Array = npt.NDArray[np.uint8]


def whole(picture: UInt8Array, scale: int) -> UInt8Array:
    """Cut rows and columns off below and right, so that `scale` divides both: as published figures are measured."""
    height, width = (side // scale * scale for side in picture.shape[:2])
    return picture[:height, :width]


def degraded(picture: UInt8Array, how: "Degrade", scale: int, rng: np.random.Generator) -> UInt8Array:
    """Make uint8 [H / scale, W / scale, 3] of [H, W, 3]: blurred, made smaller, with noise, as a JPEG; in this order.

    Made smaller by Pillow's bicubic filter, which smooths as Matlab's does. Noise is white, Gaussian and rounded to
    levels from 0 to 255, as a file has them.
    """
    seen = picture
    if (sigma := _drawn(how.blur, rng)) is not None and sigma > 0:
        seen = cv2.GaussianBlur(seen, (0, 0), sigma).astype(np.uint8)
    if scale > 1:
        seen = resized(seen, seen.shape[0] // scale, seen.shape[1] // scale)
    if (sigma := _drawn(how.noise, rng)) is not None:
        noisy = seen + rng.normal(0, sigma, seen.shape)
        seen = np.rint(noisy).clip(0, 255).astype(np.uint8)
    if (quality := _drawn(how.jpeg, rng)) is not None:
        seen = decode_image(encode_jpeg(np.ascontiguousarray(seen), round(quality)))
    return seen


def resized(picture: UInt8Array, height: int, width: int) -> UInt8Array:
    """Resize by Pillow's bicubic filter: uint8 [H, W, 3] -> [height, width, 3]."""
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def _drawn(given: "Range | None", rng: np.random.Generator) -> float | None:
    """Draw from a range, evenly; a number is itself."""
    return float(rng.uniform(given[0], given[1])) if isinstance(given, list) else given
