"""What is moved along with the pixels, what comes of it, and which transforms move it rightly.

All coordinates are px from the picture's upper left corner, x to the right and y downwards, so the middle of the first
pixel lies at (0.5, 0.5). albumentations counts key points from that middle, so they go through it half a px less.
"""

from dataclasses import dataclass
from typing import Any

import albumentations as A
import cv2
import numpy as np
import numpy.typing as npt

from augment.erase import Cutout, RandomErasing
from augment.single import Brightness, Color, Contrast, PillowAutoContrast, PillowEqualize, Sharpness
from pipeline.base.errors import ZoetropeError, nearest

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]

KINDS = {
    "mask": "mask",
    "boxes": "bboxes",
    **dict.fromkeys(("keypoints", "target", "picture", "frame", "flow"), "keypoints"),
}
"""What can ride, and as which target of albumentations it goes. `picture`, `frame` and `flow` are no companions: of the
first the picture itself must stay exact, as it is the target, of the second it is known where it came to lie, and by
that the third is moved, see `augment.flow`."""
ITSELF = frozenset({"picture", "frame", "flow"})

RESIZES = (
    *(A.Resize, A.RandomScale, A.LongestMaxSize, A.SmallestMaxSize, A.CropAndPad),
    *(A.RandomResizedCrop, A.RandomSizedCrop, A.RandomSizedBBoxSafeCrop),
)
"""Those that resample to another size; `build` mends their key points."""

_BENDS = (
    *(A.ElasticTransform, A.GridDistortion, A.GridElasticDeform, A.OpticalDistortion, A.PiecewiseAffine),
    *(A.Perspective, A.RandomGridShuffle, A.ThinPlateSpline),
)
_SHOWS_COPIES = (cv2.BORDER_REFLECT, cv2.BORDER_WRAP, cv2.BORDER_REFLECT_101)
_MOVES_WHOLE_PX = (
    *(A.HorizontalFlip, A.VerticalFlip, A.TimeReverse, A.Transpose, A.RandomRotate90, A.D4, A.SquareSymmetry),
    *(A.Crop, A.CenterCrop, A.RandomCrop, A.RandomCropFromBorders),
)
_MOVES_NOTHING = (
    *(A.NoOp, A.PixelDropout, A.CoarseDropout, A.Erasing, A.GridDropout, A.XYMasking),
    *(Cutout, RandomErasing, Brightness, Color, Contrast, Sharpness, PillowEqualize, PillowAutoContrast),
)


@dataclass(frozen=True)
class Rides:
    """What rides: any of `KINDS`. `ignore` is the value of a mask where there is no picture."""

    names: frozenset[str] = frozenset()
    ignore: int = 255

    def __post_init__(self) -> None:
        """Refuse names that there are not."""
        if unknown := self.names - KINDS.keys():
            raise ValueError(f"{sorted(unknown)} cannot ride; allowed: {list(KINDS)}")

    @property
    def framed(self) -> bool:
        """Whether an affine frame must come of it: a mask alone does without."""
        return bool(self.names - {"mask"})


NOTHING = Rides()


@dataclass(frozen=True)
class Companions:
    """What a sample has beside its pixels `[H, W, 3]`; what rides must be there."""

    mask: npt.NDArray[Any] | None = None
    """uint8 or uint16 `[H, W]`: classes, or numbers of instances. With channels `[H, W, C]`, `ignore` may fill the
    first alone, and 0 the others."""
    boxes: npt.NDArray[Any] | None = None
    """`[N, 4]`: x0, y0, x1, y1."""
    keypoints: npt.NDArray[Any] | None = None
    """`[M, 2]`: x, y of all objects' key points, one after the other."""
    target: UInt8Array | None = None
    """`[s H, s W, C]`: a picture `s` times as large, such as the one that is to be restored; whole `s`."""

    def kinds(self) -> frozenset[str]:
        """Return the names of those that are there."""
        return frozenset(kind for kind, value in vars(self).items() if value is not None)


@dataclass(frozen=True)
class View:
    """Transformed pixels uint8 `[H, W, 3]` and what rode along; None is what did not."""

    pixels: UInt8Array
    mask: npt.NDArray[Any] | None = None
    """`[H, W]` or `[H, W, C]`, by the nearest pixel; `ignore` outside of the picture."""
    boxes: Float32Array | None = None
    """`[K, 4]`, clipped to the view, without those that lie outside or are painted over wholly."""
    numbers: npt.NDArray[np.int64] | None = None
    """`[K]`: which of the companions' boxes these are."""
    keypoints: Float32Array | None = None
    """`[M, 2]`: all of them, those outside of the view too."""
    target: UInt8Array | None = None
    """`[s H, s W, C]`."""
    flow: UInt8Array | None = None
    """`[T, H, W, 2 L]`: of a clip, where a person is to see it."""
    frame: Float32Array | None = None
    """`[2, 3]`: maps (x, y, 1) of the stored picture to the view; None where a transform of the list bends it."""


def unmoved(pixels: UInt8Array, companions: Companions) -> View:
    """Return the view of a picture `[H, W, 3]` and its companions as they are stored."""
    numbers = None if companions.boxes is None else np.arange(len(companions.boxes))
    return View(pixels, **vars(companions), numbers=numbers, frame=np.eye(2, 3, dtype=np.float32))


def bends(transform: A.BasicTransform) -> bool:
    """Tell whether no affine frame says where things of the stored picture lie."""
    return isinstance(transform, _BENDS) or getattr(transform, "border_mode", None) in _SHOWS_COPIES


def obstacle(transform: A.BasicTransform, rides: Rides) -> str | None:
    """Tell why a transform does not move what rides, in words; None where it does, or moves nothing."""
    if not rides.names or not isinstance(transform, A.DualTransform):
        return None
    name, targets = type(transform).__name__, {target.value.lower() for target in transform._targets}
    if missing := [kind for kind in sorted(rides.names - {"picture"}) if KINDS[kind] not in targets]:
        return f"does not move {' and '.join(missing)}, which the task's samples have; leave it out"
    if rides.names & {"target", "picture"}:
        if not isinstance(transform, _MOVES_WHOLE_PX + _MOVES_NOTHING):
            known = [cls.__name__ for cls in _MOVES_WHOLE_PX if cls is not A.TimeReverse]  # a mirror of spectrograms
            near = nearest(name, known) or known
            return f"would not move the target by whole pixels, and it must stay exact; use {' or '.join(near)}"
        if getattr(transform, "pad_if_needed", False):
            return "pad_if_needed: would pad the target, which must stay exact; leave it out"
    if rides.framed and isinstance(transform, _BENDS):
        return f"bends the picture, so that no frame says where {_listed(rides)} lie; use Affine"
    if rides.framed and bends(transform):
        return f"border_mode: shows parts of the picture twice, so that no frame says where {_listed(rides)} lie; use 0"
    if "boxes" in rides.names and isinstance(transform, A.MaskDropout):
        return "leaves the boxes of the objects that it paints over; use ConstrainedCoarseDropout"
    if getattr(transform, "bbox_labels", None):
        return "bbox_labels: boxes have numbers here, not labels; name mask_indices"
    if "mask" in rides.names:
        if isinstance(transform, A.Morphological):
            return "changes a mask's numbers, which are names; leave it out"
        if getattr(transform, "mask_interpolation", cv2.INTER_NEAREST) != cv2.INTER_NEAREST:
            return "mask_interpolation: between two classes there is none; leave it out"
        if getattr(transform, "area_for_downscale", None) == "image_mask":
            return "area_for_downscale: between two classes there is none; use image"
    return None


def fit(transform: A.BasicTransform, given: dict[str, Any], rides: Rides) -> None:
    """Set what a recipe leaves open where a mask rides: its values outside of the picture, and how it is resized."""
    if "mask" not in rides.names:
        return
    if "fill_mask" not in given and getattr(transform, "fill_mask", None) is not None:  # None: dropouts leave masks be
        transform.fill_mask = rides.ignore
    if isinstance(transform, RESIZES):
        # The other nearest takes the first of the pixels that fall together, not the middle one: half a px off
        transform.mask_interpolation = cv2.INTER_NEAREST_EXACT


def points_of(height: int, width: int, keypoints: npt.NDArray[Any] | None) -> Float32Array:
    """Return `[3 + M, 5]` as albumentations wants them: the frame's three corners, then the
    objects' key points `[M, 2]`.
    """
    corners = (0, 0), (width, 0), (0, height)
    points = np.array([(x - 0.5, y - 0.5, 0, 0, 0) for x, y in corners], np.float32)
    if keypoints is None:
        return points
    return np.concatenate([points, np.pad(keypoints - 0.5, ((0, 0), (0, 3)))], dtype=np.float32)


def frame_of(points: npt.NDArray[Any], height: int, width: int) -> Float32Array:
    """Compute the frame `[2, 3]` from what became of the corners of `points_of`, for a stored
    picture of `height` x `width` px.
    """
    (x, y), (right_x, right_y), (down_x, down_y) = (points[:3, :2].astype(np.float64) + 0.5).tolist()
    rows = ((right_x - x) / width, (down_x - x) / height, x), ((right_y - y) / width, (down_y - y) / height, y)
    return np.array(rows, np.float32)


def cut(target: UInt8Array, frame: Float32Array, stored: tuple[int, ...], made: tuple[int, ...]) -> UInt8Array:
    """Return what becomes of `[s H, s W, C]` as its picture of shape `stored` becomes one of shape `made` by `frame`.

    The frame moves whole pixels: it turns by quarters, mirrors and crops, so the same is cut out of the target.
    Raises `ZoetropeError` where the target is not a whole number of times as large as the picture, the same both ways.
    """
    scale = target.shape[0] // stored[0]
    if target.shape[:2] != (scale * stored[0], scale * stored[1]):
        raise ZoetropeError(
            f"the target has {target.shape[1]} x {target.shape[0]} px, which is no whole multiple of its picture's "
            f"{stored[1]} x {stored[0]} px, the same both ways"
        )
    turn, shift = np.rint(frame[:, :2]).astype(int), np.rint(frame[:, 2]).astype(int)
    ends = (
        scale * (np.array([(0, 0), (made[1], made[0])]) - shift) @ turn
    )  # back in the target; a turn's inverse is transposed
    (left, top), (right, bottom) = ends.min(0), ends.max(0)
    found = target[top:bottom, left:right]
    if turn[0, 0] == 0:  # x becomes y
        found = found.swapaxes(0, 1)
    return np.ascontiguousarray(found[:: turn[1].sum(), :: turn[0].sum()])


def _listed(rides: Rides) -> str:
    words = {
        "keypoints": "key points",
        "frame": "answers",
        "flow": "vectors of flow",
        "target": "targets",
        "picture": "targets",
    }
    return " and ".join(words.get(kind, kind) for kind in sorted(rides.names - {"mask"}))
