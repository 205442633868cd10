"""SSD's sampling of training pictures (Liu et al. 2016, "SSD: single shot multibox detector", section 2.2): crops that
overlap with an object as much as was drawn, and pictures made smaller on a large canvas.
"""

from typing import Annotated, Any

import albumentations as A
import numpy as np
import numpy.typing as npt
from albumentations.augmentations.crops.transforms import BaseCrop
from albumentations.core.transforms_interface import BaseTransformInitSchema
from pydantic import AfterValidator, Field

from augment.erase import GREY, Fill, Shares, ordered

Boxes = npt.NDArray[Any]
"""[N, 4+]: x0, y0, x1, y1 in shares of the picture's sides, and what else rides with them."""
Aspects = Annotated[tuple[float, float], AfterValidator(ordered)]


def centres_inside(boxes: Boxes, crop: tuple[float, float, float, float]) -> npt.NDArray[np.bool_]:
    """Tell which boxes have their centre in a crop, of the same unit: bool [N]."""
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    left, top, right, bottom = crop
    return (left < x) & (x < right) & (top < y) & (y < bottom)


def overlaps(boxes: Boxes, crop: tuple[float, float, float, float]) -> npt.NDArray[np.float64]:
    """Compute the IoU of boxes with a crop, float [N]."""
    low, high = np.maximum(boxes[:, :2], crop[:2]), np.minimum(boxes[:, 2:4], crop[2:])
    shared = np.clip(high - low, 0, None).prod(1)
    areas = (boxes[:, 2:4] - boxes[:, :2]).prod(1)
    found: npt.NDArray[np.float64] = shared / (areas + (crop[2] - crop[0]) * (crop[3] - crop[1]) - shared)
    return found


class RandomIoUCrop(BaseCrop):
    """Cut out a part that overlaps with one object at least by an IoU that is drawn from `ious`, or leave the picture.

    A part has `sides` of the picture's, and is `aspects` times as wide as high; after `trials` that fit no object
    another IoU is drawn. Objects whose centre lies in it stay, cut off at its border. 0 asks for an object alone, and 1
    leaves the picture as it is.
    """

    class InitSchema(BaseTransformInitSchema):
        """Checks of the parameters."""

        ious: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1)]
        sides: Shares
        aspects: Aspects
        trials: Annotated[int, Field(ge=1, le=1000)]

    def __init__(
        self,
        ious: tuple[float, ...] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0),
        sides: tuple[float, float] = (0.3, 1.0),
        aspects: tuple[float, float] = (0.5, 2.0),
        trials: int = 40,
        p: float = 1.0,
    ) -> None:
        super().__init__(p=p)
        self.ious = ious
        self.sides = sides
        self.aspects = aspects
        self.trials = trials

    @property
    def targets_as_params(self) -> list[str]:
        """Ask albumentations for the boxes."""
        return ["bboxes"]

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw, once for all targets."""
        height, width = params["shape"][:2]
        there = np.array([box[:4] for box in data["bboxes"]], np.float64).reshape(-1, 4)
        boxes = there * (width, height, width, height)
        while len(boxes):
            least = self.py_random.choice(self.ious)
            if least >= 1:
                break
            for _ in range(self.trials):
                wide, high = (int(side * self.py_random.uniform(*self.sides)) for side in (width, height))
                if not (wide and high and self.aspects[0] <= wide / high <= self.aspects[1]):
                    continue
                left, top = self.py_random.randint(0, width - wide), self.py_random.randint(0, height - high)
                crop = (left, top, left + wide, top + high)
                inside = centres_inside(boxes, crop)
                if inside.any() and overlaps(boxes[inside], crop).max() >= least:
                    return {"crop_coords": crop}
        return {"crop_coords": (0, 0, width, height)}

    def apply_to_bboxes(self, bboxes: Boxes, crop_coords: tuple[int, int, int, int], **params: Any) -> Boxes:
        """Leave the boxes whose centre is in the crop, and cut them off at its border."""
        height, width = params["shape"][:2]
        if crop_coords != (0, 0, width, height):
            bboxes = bboxes[centres_inside(bboxes * ([width, height] * 2 + [1] * (bboxes.shape[1] - 4)), crop_coords)]
        moved: Boxes = super().apply_to_bboxes(bboxes, crop_coords, **params)
        moved[:, :4] = moved[:, :4].clip(0, 1)
        return moved


class RandomZoomOut(A.Pad):
    """Put the picture at a random place of a canvas that is `sides` times as wide and high, so that objects are small.

    A resize behind it brings it back to the size that the model sees. `fill` is the canvas' colour.
    """

    class InitSchema(BaseTransformInitSchema):
        """Checks of the parameters."""

        sides: Annotated[
            tuple[Annotated[float, Field(ge=1, le=8)], Annotated[float, Field(ge=1, le=8)]], AfterValidator(ordered)
        ]
        fill: Fill

    def __init__(self, sides: tuple[float, float] = (1.0, 4.0), fill: Fill = GREY, p: float = 0.5) -> None:
        super().__init__(fill=fill, p=p)
        self.sides = sides

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw, once for all targets."""
        height, width = params["shape"][:2]
        times = self.py_random.uniform(*self.sides)
        more_x, more_y = int(width * times) - width, int(height * times) - height
        left, top = self.py_random.randint(0, more_x), self.py_random.randint(0, more_y)
        return {"pad_left": left, "pad_right": more_x - left, "pad_top": top, "pad_bottom": more_y - top}
