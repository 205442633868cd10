"""A spec made ready to apply: keyed draws, one draw for a clip."""

import random
from typing import Any

import albumentations as A
import numpy as np
import numpy.typing as npt

from augment.build import Transform, leaves
from augment.magnitudes import MAGNITUDES
from augment.operations import Steps
from augment.own import OWN
from augment.population import PopulationBased
from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import Part, generator, key_bits

UInt8Array = npt.NDArray[np.uint8]


class Augmentation:
    """A spec made ready to apply. Not for sharing between threads: the random state is set anew in place per call."""

    def __init__(self, transforms: list[Transform]) -> None:
        # Off: a check that several targets have one shape; there is one target
        self._compose = A.Compose(transforms, is_check_shapes=False)
        self._generator = generator("augment")
        self._python = random.Random(0)
        self._compose.set_random_state(self._generator, self._python)  # one pair for all, however deep they nest
        self._philox: Any = self._generator.bit_generator.state
        # Random fills are drawn while a frame is painted, so `images=` would give every frame other ones
        self._by_frame = any(
            str(getattr(leaf, "fill", "")).startswith("random") and type(leaf) not in OWN.values()
            for leaf in leaves(transforms)
        )
        self._scheduled = [leaf for leaf in leaves(transforms) if isinstance(leaf, PopulationBased)]

    def at(self, epoch: int) -> "Augmentation":
        """This one, with what changes over the epochs set to `epoch`."""
        for leaf in self._scheduled:
            leaf.epoch = epoch
        return self

    def __call__(self, pixels: UInt8Array, *key: Part) -> UInt8Array:
        """Transform uint8 `[H, W, 3]` or `[T, H, W, 3]`; the result depends on (pixels, spec, key) alone.

        All frames of a clip get one draw. Raises `ZoetropeError` where a transform does not fit the pixels, such as a
        crop larger than the frame.
        """
        try:
            if pixels.ndim == 3:
                return self._keyed(key, image=pixels)["image"]
            if self._by_frame:
                return np.stack([self._keyed(key, image=frame)["image"] for frame in pixels])
            return self._keyed(key, images=pixels)["images"]
        except Exception as error:  # ValueError, CropSizeError, cv2.error, ...: what it is depends on the transform
            raise ZoetropeError(
                f"an augmentation does not fit frames of {pixels.shape[-2]} x {pixels.shape[-3]} px: {error}. "
                "Put a resize before it, such as {SmallestMaxSize: {max_size: 256}}"
            ) from error

    def explain(self, pixels: UInt8Array, *key: Part) -> tuple[UInt8Array, list[str]]:
        """As calling it, with the names of what was applied, such as `["HorizontalFlip", "Rotate 9", "Invert"]`."""
        every = list(leaves(self._compose.transforms))
        for leaf in every:
            leaf.params = {}  # albumentations forgets these only when a transform's turn comes
        result = self(pixels, *key)
        return result, [name for leaf in every if leaf.params for name in _applied(leaf)]

    def _keyed(self, key: tuple[Part, ...], **targets: UInt8Array) -> dict[str, UInt8Array]:
        # As new generators of that key would be, at a fifth of the price of `set_random_seed`
        bits = key_bits(*key)
        self._philox["state"]["key"][:] = bits & 0xFFFF_FFFF_FFFF_FFFF, bits >> 64
        self._generator.bit_generator.state = self._philox
        self._python.seed(bits)
        return self._compose(**targets)


def _applied(leaf: A.BasicTransform) -> list[str]:
    if not isinstance(leaf, Steps):
        return [type(leaf).__name__]
    return [f"{name} {value:.3g}" if MAGNITUDES[name] else name for name, value, _ in leaf.params["steps"]]
