"""Boxes that every transform of a list keeps upright, moved once at its end, by the frame.

albumentations moves boxes transform by transform, and clips them to the picture behind each. Where all that is shown at
the end was shown all along, clipping them once gives the same, in less than a tenth of the time.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import albumentations as A
import numpy as np
import numpy.typing as npt
from albumentations.core.composition import SomeOf

from augment.build import TRANSFORMS, Transform
from augment.rides import Float32Array

_KEEP = (
    *(A.NoOp, A.HorizontalFlip, A.VerticalFlip, A.Transpose, A.RandomRotate90, A.D4, A.SquareSymmetry),
    *(A.Resize, A.RandomScale, A.LongestMaxSize, A.SmallestMaxSize),
)
_CUT = (A.Crop, A.CenterCrop, A.RandomCrop, A.RandomCropFromBorders, A.RandomSizedCrop, A.RandomResizedCrop)
_PAD = (A.Pad, A.PadIfNeeded)
_KNOWN = {TRANSFORMS[cls.__name__] for cls in (*_KEEP, *_CUT, *_PAD)}
"""As recipes make them: a user's subclass may do more."""
LEAST_PX = 1e-3
"""What is left of a box is no less: a box that ends where a crop begins is a sliver by rounding."""


def may_wait(transforms: Sequence[Transform]) -> bool:
    """Tell whether `move` does to boxes what these transforms would: whatever is drawn, sides stay parallel to those of
    the picture, nothing is painted over, nobody asks for the boxes, and no pad comes behind a crop.
    """
    cut = False
    for leaf in _in_turn(transforms):
        if isinstance(leaf, A.ImageOnlyTransform) and "bboxes" not in leaf.targets_as_params:
            continue
        pads = isinstance(leaf, _PAD) or getattr(leaf, "pad_if_needed", False)
        if type(leaf) not in _KNOWN or (pads and cut):
            return False
        cut |= isinstance(leaf, _CUT)
    return True


def move(
    boxes: npt.NDArray[Any], frame: Float32Array, stored: tuple[int, ...], made: tuple[int, ...]
) -> tuple[Float32Array, npt.NDArray[np.int64]]:
    """Return boxes `[N, 4]` of a picture of shape `stored` in px of its view of shape `made`, clipped, and which are
    left, `[K]`: [K, 4].

    frame: `[2, 3]`, as of `View`; its linear part has a 0 in each row
    """
    (a, b, left), (c, d, top) = frame.tolist()
    x, y = (0, 1) if abs(a) > abs(b) else (1, 0)  # the stored picture's, along those of the view
    by_x, by_y = a + b, c + d
    far_x, far_y = left + by_x * stored[1 - x], top + by_y * stored[1 - y]  # where the stored picture ends
    low = max(0, min(left, far_x)), max(0, min(top, far_y))
    high = min(made[1], max(left, far_x)), min(made[0], max(top, far_y))
    columns = [x + 2 * (by_x < 0), y + 2 * (by_y < 0), x + 2 * (by_x > 0), y + 2 * (by_y > 0)]
    moved = boxes[:, columns] * (by_x, by_y, by_x, by_y) + (left, top, left, top)
    moved = np.minimum(np.maximum(moved, low * 2), high * 2)
    there = moved[:, 2:] - moved[:, :2] > LEAST_PX
    (numbers,) = (there[:, 0] & there[:, 1]).nonzero()
    return moved[numbers].astype(np.float32), numbers


def _in_turn(transforms: Sequence[Transform]) -> Iterator[A.BasicTransform]:
    """Yield all single transforms so that each comes behind every one that may run before it."""
    for transform in transforms:
        if isinstance(transform, A.BasicTransform):
            yield transform
        else:
            # Of a random order, or of one drawn twice, the last may run before the first
            for _ in range(2 if isinstance(transform, SomeOf) else 1):
                yield from _in_turn(transform.transforms)
