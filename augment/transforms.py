"""Sample and clip transforms: albumentations' names and parameters in recipes, keyed draws, one draw for a clip.

Importing this module loads albumentations, and with it torch (about two seconds), see `pipeline.base.imports`.
"""

import numpy as np

from augment.augmentation import Augmentation
from augment.build import Spec, build_list
from pipeline.base.errors import ZoetropeError


def check(spec: Spec, what: str) -> list[str]:
    """Everything that is wrong with a spec, one line each, which begins with the place; `what` is the spec's place."""
    errors: list[str] = []
    build_list(spec, what, errors)
    return errors


def compose(spec: Spec) -> Augmentation:
    """Build a spec's transforms. Raises `ZoetropeError` with all lines of `check`."""
    errors: list[str] = []
    transforms = build_list(spec, "augment", errors)
    if errors:
        raise ZoetropeError("\n".join(errors))
    return Augmentation(transforms)


def output_shape(spec: Spec, short_side: int) -> tuple[int, int]:
    """(H, W) of what the spec makes of stored frames, whose short side is `short_side` px.

    Tried on upright, square and wide frames with several draws. Raises `ZoetropeError` when the shape varies, since
    a batch has one shape, and when a transform does not fit such frames.
    """
    augmentation = compose(spec)
    long_side = short_side * 4 // 3
    shapes = {
        augmentation(np.zeros((height, width, 3), np.uint8), "output_shape", draw).shape[:2]
        for height, width in ((short_side, short_side), (short_side, long_side), (long_side, short_side))
        for draw in range(16)
    }
    if len(shapes) > 1:
        seen = ", ".join(f"{width} x {height}" for height, width in sorted(shapes)[:3])
        raise ZoetropeError(
            f"the augmentations give frames of different sizes ({seen} px, ...), but a batch has one: "
            "end the list with a crop or resize to a fixed size, such as {CenterCrop: {height: 224, width: 224}}"
        )
    height, width = shapes.pop()
    return height, width
