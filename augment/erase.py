"""Cutout and random erasing: a rectangle of the picture is painted over.

Both run before normalisation, so they paint a colour, not 0. Masks, key points and boxes stay as they are, but for
boxes that are painted over wholly, which are dropped.
"""

import math
import random
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from albumentations.augmentations.dropout.transforms import BaseDropout
from albumentations.core.transforms_interface import BaseTransformInitSchema
from pydantic import AfterValidator, Field

UInt8Array = npt.NDArray[np.uint8]
Level = Annotated[int, Field(ge=0, le=255)]
Fill = tuple[Level, Level, Level]
"""RGB, 0..255."""

GREY: Fill = (125, 123, 114)
"""CIFAR-10's mean colour, which Cutout's and random erasing's authors fill with; near 0 once it is normalised."""


def ordered(limits: tuple[float, float]) -> tuple[float, float]:
    """Refuse a range whose lower end lies above its upper one."""
    if limits[0] > limits[1]:
        raise ValueError(f"the first number must not be above the second one, as in [{limits[1]:g}, {limits[0]:g}]")
    return limits


Share = Annotated[float, Field(gt=0, le=1)]
Shares = Annotated[tuple[Share, Share], AfterValidator(ordered)]


def cutout_box(y: int, x: int, side: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Return (top, left, bottom, right) of a square of `side` px about pixel (y, x), cut off at the picture's edges.

    Even sides lie as in the authors' listing, from y - side/2 to y + side/2. That listing makes 14 px of 15; this not.
    """
    top, left = y - side // 2, x - side // 2
    return max(top, 0), max(left, 0), min(top + side, height), min(left + side, width)


def erasing_box(
    rng: random.Random, height: int, width: int, area: tuple[float, float], min_aspect: float
) -> tuple[int, int, int, int] | None:
    """Return (top, left, bottom, right) of a rectangle that lies wholly inside the picture; None after 100 misses.

    Its area is uniform in `area` of the picture's, its height over width uniform in `min_aspect` .. 1 / `min_aspect`.
    """
    for _ in range(100):
        pixels = rng.uniform(*area) * height * width
        aspect = rng.uniform(min_aspect, 1 / min_aspect)
        tall, wide = round(math.sqrt(pixels * aspect)), round(math.sqrt(pixels / aspect))
        if tall < height and wide < width:
            top, left = rng.randint(0, height - tall), rng.randint(0, width - wide)
            return top, left, top + tall, left + wide
    return None


def visible_boxes(
    self: BaseDropout, bboxes: npt.NDArray[Any], holes: npt.NDArray[Any], **params: Any
) -> npt.NDArray[Any]:
    """Apply a dropout to boxes `[N, 4+]`, in shares of the sides, without those that are hidden wholly.

    albumentations' own makes the others as small as what is left of them, and by one px smaller than that.
    """
    height, width = params["shape"][:2]
    painted = np.zeros((height, width), bool)
    for left, top, right, bottom in holes:
        painted[top:bottom, left:right] = True
    edges = np.rint(bboxes[:, :4] * (width, height, width, height)).astype(int)
    hidden = [painted[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)].all() for x0, y0, x1, y1 in edges]
    return bboxes[~np.array(hidden, bool)]


class Cutout(BaseDropout):
    """Paint a square of `size` px about a pixel that is drawn uniformly, edges included (DeVries and Taylor 2017).

    Sides of the paper: 16 px for CIFAR-10, 8 for CIFAR-100, 20 for SVHN, all at 32 px. `holes` squares may overlap.
    """

    class InitSchema(BaseTransformInitSchema):
        """Checks of the parameters."""

        size: Annotated[int, Field(ge=1)]
        holes: Annotated[int, Field(ge=1, le=100)]
        fill: Fill

    def __init__(self, size: int, holes: int = 1, fill: Fill = GREY, p: float = 1.0) -> None:
        super().__init__(fill=fill, fill_mask=None, p=p)
        self.size = size
        self.holes = holes

    apply_to_bboxes = visible_boxes

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw, once for all targets."""
        height, width = params["shape"][:2]
        centres = [(self.py_random.randrange(height), self.py_random.randrange(width)) for _ in range(self.holes)]
        return _holes([cutout_box(y, x, self.size, height, width) for y, x in centres])


class RandomErasing(BaseDropout):
    """Paint a rectangle of random size, shape and place (Zhong et al. 2020, "Random Erasing", algorithm 1).

    The aspect is uniform, as in the paper, so three of four rectangles are tall. torchvision draws its logarithm
    instead; that is albumentations' `Erasing`. `fill` is a colour, or `random` for noise, the same for all frames.
    """

    class InitSchema(BaseTransformInitSchema):
        """Checks of the parameters."""

        area: Shares
        min_aspect: Share
        fill: Fill | Literal["random"]

    def __init__(
        self,
        area: tuple[float, float] = (0.02, 0.4),
        min_aspect: float = 0.3,
        fill: Fill | Literal["random"] = GREY,
        p: float = 0.5,
    ) -> None:
        super().__init__(fill=fill, fill_mask=None, p=p)
        self.area = area
        self.min_aspect = min_aspect

    apply_to_bboxes = visible_boxes

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw, once for all targets."""
        height, width = params["shape"][:2]
        box = erasing_box(self.py_random, height, width, self.area, self.min_aspect)
        return _holes([box] if box else []) | {"noise": self._noise(box) if box else None}

    def _noise(self, box: tuple[int, int, int, int]) -> UInt8Array | None:
        if self.fill != "random":
            return None
        top, left, bottom, right = box
        return self.random_generator.integers(0, 256, (bottom - top, right - left, 3), np.uint8)

    def apply(self, img: UInt8Array, holes: npt.NDArray[np.int64], seed: int, **params: Any) -> UInt8Array:
        """Apply to uint8 `[H, W, 3]`."""
        return self.apply_to_images(img, holes, seed, **params)

    def apply_to_images(self, images: UInt8Array, holes: npt.NDArray[np.int64], seed: int, **params: Any) -> UInt8Array:
        """Apply to uint8 `[..., H, W, 3]`."""
        images = images.copy()
        for left, top, right, bottom in holes:
            images[..., top:bottom, left:right, :] = self.fill if params["noise"] is None else params["noise"]
        return images


def _holes(boxes: list[tuple[int, int, int, int]]) -> dict[str, Any]:
    """Return what albumentations' dropouts ask for: rows of x_min, y_min, x_max, y_max, and a
    seed for fills of its own.
    """
    return {"holes": np.array([(x1, y1, x2, y2) for y1, x1, y2, x2 in boxes], np.int64).reshape(-1, 4), "seed": 0}
