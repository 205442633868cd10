"""A spec made ready to apply: keyed draws, one draw for a clip."""

import random
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import albumentations as A
import numpy as np
import numpy.typing as npt

from augment.boxes_at_end import may_wait, move
from augment.build import Transform, copies, leaves
from augment.magnitudes import MAGNITUDES
from augment.operations import Steps
from augment.own import OWN
from augment.population import PopulationBased
from augment.rides import ITSELF, NOTHING, Companions, Rides, View, bends, cut, frame_of, points_of
from pipeline.base.bands import RGB, Bands
from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import Part, generator, key_bits

UInt8Array = npt.NDArray[np.uint8]
Result = TypeVar("Result")


class Augmentation:
    """A spec made ready to apply. Not for sharing between threads: a call sets the random state and the epoch anew."""

    def __init__(self, transforms: list[Transform], rides: Rides = NOTHING, bands: Bands = RGB) -> None:
        every = list(leaves(transforms))
        self.rides, self.bands = rides, bands
        self.shapes: dict[tuple[int, int], tuple[int, int]] = {}
        """What `transforms.shape_of` found."""
        self.only_reads = bool(transforms) and copies(transforms[0])
        """Whether pixels may be read-only, as those that others share: what the first transform makes is new."""
        self._framed = not any(bends(leaf) for leaf in every)
        self._boxes_at_end = "boxes" in rides.names and may_wait(transforms)
        step_by_step = "boxes" in rides.names and not self._boxes_at_end
        boxes = A.BboxParams("pascal_voc", clip=True, filter_invalid_bboxes=True) if step_by_step else None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Got processor for bboxes")  # where all are photometric
            # Off: a check that several targets have one shape; pixels come alone, or with what was made for them
            self._compose = A.Compose(transforms, boxes, is_check_shapes=False)
        self._generator = generator("augment")
        self._python = random.Random(0)
        self._compose.set_random_state(self._generator, self._python)  # one pair for all, however deep they nest
        self._philox: Any = self._generator.bit_generator.state
        # Random fills are drawn while a frame is painted, so `images=` would give every frame other ones
        self._by_frame = any(
            str(getattr(leaf, "fill", "")).startswith("random") and type(leaf) not in OWN.values() for leaf in every
        )
        self._scheduled = [leaf for leaf in every if isinstance(leaf, PopulationBased)]

    def __call__(self, pixels: UInt8Array, *key: Part, epoch: int = 0) -> UInt8Array:
        """Transform uint8 `[H, W, 3]` or `[T, H, W, 3]`, or pictures of the `bands` that it was made for; the result
        depends on (pixels, spec, key, epoch) alone.

        All frames of a clip get one draw. Raises `ZoetropeError` where a transform does not fit the pixels, such as a
        crop larger than the frame.
        """
        try:
            if pixels.ndim == 3:
                return self._keyed(key, epoch, image=pixels)["image"]
            if self._by_frame:
                return np.stack([self._keyed(key, epoch, image=frame)["image"] for frame in pixels])
            return self._keyed(key, epoch, images=pixels)["images"]
        except Exception as error:  # ValueError, CropSizeError, cv2.error, ...: what it is depends on the transform
            raise _misfit(pixels, error) from error

    def view(self, pixels: UInt8Array, companions: Companions, *key: Part, epoch: int = 0) -> View:
        """Transform uint8 `[H, W, 3]` as calling it does, and with them what rides.

        Raises `ZoetropeError` where a transform does not fit the picture, or a companion has another size.
        """
        if (there := companions.kinds()) != self.rides.names - ITSELF:
            raise ValueError(f"{sorted(self.rides.names)} ride, but the sample has {sorted(there)}")
        height, width = pixels.shape[:2]
        data: dict[str, Any] = {"image": pixels}
        if (mask := companions.mask) is not None:
            if mask.shape[:2] != (height, width):
                raise ZoetropeError(f"the mask is {list(mask.shape)}, but must be {[height, width]} as its picture is")
            data["mask"] = mask
        if companions.boxes is not None and not self._boxes_at_end:
            numbers = np.arange(len(companions.boxes))
            data["bboxes"] = np.column_stack([companions.boxes, numbers]).astype(np.float32)
        if self._framed:
            data["keypoints"] = points_of(height, width, companions.keypoints)
        try:
            moved = self._keyed(key, epoch, **data)
        except Exception as error:
            raise _misfit(pixels, error) from error
        made: UInt8Array = moved["image"]
        parts: dict[str, Any] = {"mask": moved.get("mask")}
        if self._framed:
            parts["frame"] = frame_of(moved["keypoints"], height, width)
        if self._boxes_at_end:
            assert companions.boxes is not None
            parts["boxes"], parts["numbers"] = move(companions.boxes, parts["frame"], pixels.shape, made.shape)
        elif companions.boxes is not None:
            boxes = moved["bboxes"].reshape(-1, 5).astype(np.float32)  # where none is left, it has four columns
            parts |= {"boxes": boxes[:, :4], "numbers": boxes[:, 4].astype(np.int64)}
        if companions.keypoints is not None:
            parts["keypoints"] = moved["keypoints"][3:, :2].astype(np.float32) + np.float32(0.5)
        if companions.target is not None:
            parts["target"] = cut(companions.target, parts["frame"], pixels.shape, made.shape)
        return View(made, **parts)

    def explain(self, pixels: UInt8Array, *key: Part, epoch: int = 0) -> tuple[UInt8Array, list[str]]:
        """Transform as calling it does, and return the names of what was applied, such as
        `["HorizontalFlip", "Rotate 9", "Invert"]`.
        """
        return self._explained(lambda: self(pixels, *key, epoch=epoch))

    def explain_view(
        self, pixels: UInt8Array, companions: Companions, *key: Part, epoch: int = 0
    ) -> tuple[View, list[str]]:
        """Do as `view`, and return the names of what was applied."""
        return self._explained(lambda: self.view(pixels, companions, *key, epoch=epoch))

    def blank(self, height: int, width: int, *key: Part) -> tuple[int, int]:
        """Return (H, W) of what becomes of a picture of `height` x `width` px, tried on a black one without objects."""
        pixels = np.zeros((height, width, self.bands.channels), self.bands.dtype)
        if not self.rides.names:
            return self(pixels, *key).shape[:2]
        empty: dict[str, Any] = {
            "mask": np.zeros((height, width), np.uint8),
            "boxes": np.zeros((0, 4), np.float32),
            "keypoints": np.zeros((0, 2), np.float32),
            "target": pixels,
        }
        companions = Companions(**{kind: empty[kind] for kind in self.rides.names - ITSELF})
        return self.view(pixels, companions, *key).pixels.shape[:2]

    def _explained(self, call: Callable[[], Result]) -> tuple[Result, list[str]]:
        every = list(leaves(self._compose.transforms))
        for leaf in every:
            leaf.params = {}  # albumentations forgets these only when a transform's turn comes
        result = call()
        return result, [name for leaf in every if leaf.params for name in _applied(leaf)]

    def _keyed(self, key: tuple[Part, ...], epoch: int, **targets: Any) -> dict[str, Any]:
        # As new generators of that key would be, at a fifth of the price of `set_random_seed`
        bits = key_bits(*key)
        self._philox["state"]["key"][:] = bits & 0xFFFF_FFFF_FFFF_FFFF, bits >> 64
        self._generator.bit_generator.state = self._philox
        self._python.seed(bits)
        for leaf in self._scheduled:
            leaf.epoch = epoch
        return self._compose(**targets)


def _misfit(pixels: UInt8Array, error: Exception) -> ZoetropeError:
    return ZoetropeError(
        f"an augmentation does not fit frames of {pixels.shape[-2]} x {pixels.shape[-3]} px: {error}. "
        "Put a resize before it, such as {SmallestMaxSize: {max_size: 256}}"
    )


def _applied(leaf: A.BasicTransform) -> list[str]:
    if not isinstance(leaf, Steps):
        return [type(leaf).__name__]
    return [f"{name} {value:.3g}" if MAGNITUDES[name] else name for name, value, _ in leaf.params["steps"]]
