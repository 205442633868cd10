"""Sample and clip transforms: albumentations' names and parameters in recipes, keyed draws, one draw for a clip.

Importing this module loads albumentations, and with it torch (about two seconds), see `pipeline.base.imports`.
"""

from augment.augmentation import Augmentation
from augment.build import Spec, build_list
from augment.rides import NOTHING, Rides
from pipeline.base.bands import RGB, Bands
from pipeline.base.errors import ZoetropeError

_DRAWS = 4
"""As often is a size tried that ought to be the same always."""


def check(spec: Spec, what: str, rides: Rides = NOTHING, bands: Bands = RGB) -> list[str]:
    """Return everything that is wrong with a spec, one line each, which begins with the place; `what` is the spec's
    place.

    A transform that does not move what rides is wrong, and one that cannot transform pictures of `bands`.
    """
    errors: list[str] = []
    build_list(spec, what, errors, rides, bands)
    return errors


def compose(spec: Spec, rides: Rides = NOTHING, bands: Bands = RGB) -> Augmentation:
    """Build a spec's transforms, to be called with pixels, or by `view` where something rides.

    Raises `ZoetropeError` with all lines of `check`.
    """
    errors: list[str] = []
    transforms = build_list(spec, "augment", errors, rides, bands)
    if errors:
        raise ZoetropeError("\n".join(errors))
    return Augmentation(transforms, rides, bands)


def output_shape(spec: Spec, short_side: int, rides: Rides = NOTHING, bands: Bands = RGB) -> tuple[int, int]:
    """Return (H, W) of what the spec makes of stored frames, whose short side is `short_side` px.

    Tried on upright, square and wide frames with several draws. Raises `ZoetropeError` when the shape varies, since
    a batch has one shape, and when a transform does not fit such frames.
    """
    augmentation = compose(spec, rides, bands)
    long_side = short_side * 4 // 3
    shapes = {
        augmentation.blank(height, width, "output_shape", draw)
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


def shape_of(augmentation: Augmentation, height: int, width: int) -> tuple[int, int]:
    """Return (H, W) of what transforms for evaluation make of a stored picture of `height` x `width` px; tried once a
    size.

    Raises `ZoetropeError` where a transform does not fit such a picture, and where the size is drawn at random.
    """
    if (height, width) not in augmentation.shapes:
        found = {augmentation.blank(height, width, "shape_of", draw) for draw in range(_DRAWS)}
        if len(found) > 1:
            seen = ", ".join(f"{wide} x {high}" for high, wide in sorted(found))
            raise ZoetropeError(
                f"the augmentations make pictures of several sizes ({seen} px) of one of {width} x {height} px, but "
                "evaluation is to see each always alike: leave out what draws a size, such as RandomScale"
            )
        augmentation.shapes[height, width] = found.pop()
    return augmentation.shapes[height, width]
