"""The operations of the AutoAugment family, and the albumentations transform that runs a drawn list of them.

A step is one operation with its drawn argument. The geometric ones move masks, boxes and key points along; the others
and Cutout leave them as they are. All frames of a clip get the same steps.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import albumentations as A
import cv2
import numpy as np
import numpy.typing as npt
from albumentations.augmentations.geometric import functional as fgeometric
from albumentations.core.transforms_interface import BaseTransformInitSchema
from albumentations.core.type_definitions import ALL_TARGETS

from augment import geometric, photometric
from augment.erase import GREY, Fill, cutout_box
from augment.geometric import Matrix

UInt8Array = npt.NDArray[np.uint8]

PHOTOMETRIC: dict[str, Callable[[UInt8Array, float], UInt8Array]] = {
    "Brightness": photometric.brightness,
    "Color": photometric.color,
    "Contrast": photometric.contrast,
    "Sharpness": photometric.sharpness,
    "Posterize": photometric.posterize,
    "Solarize": photometric.solarize,
    "AutoContrast": lambda frame, _: photometric.autocontrast(frame),
    "Equalize": lambda frame, _: photometric.equalize(frame),
    "Invert": lambda frame, _: photometric.invert(frame),
}
# (argument, height, width) to the matrix
GEOMETRIC: dict[str, Callable[[float, int, int], Matrix]] = {
    "ShearX": lambda slope, *_: geometric.shear_x(slope),
    "ShearY": lambda slope, *_: geometric.shear_y(slope),
    "TranslateX": lambda px, *_: geometric.translate(px, 0),
    "TranslateY": lambda px, *_: geometric.translate(0, px),
    "Rotate": geometric.rotate,
}


class Step(NamedTuple):
    """One operation with its argument (see `magnitudes.argument`); `box` is Cutout's (top, left, bottom, right)."""

    name: str
    argument: float
    box: tuple[int, int, int, int] | None = None


def apply_step(frame: UInt8Array, step: Step, fill: Fill) -> UInt8Array:
    """Run one step on uint8 `[H, W, 3]`, which stays as it was; `fill` is for what a step uncovers or cuts out."""
    if step.name in PHOTOMETRIC:
        return PHOTOMETRIC[step.name](frame, step.argument)
    if step.box is None:
        return geometric.warp(frame, _matrix(step, frame.shape[0], frame.shape[1]), fill)
    top, left, bottom, right = step.box
    frame = frame.copy()
    frame[top:bottom, left:right] = fill
    return frame


class Steps(A.DualTransform):
    """Draws a list of steps and runs them; what they are, a subclass says in `draw`."""

    _targets = ALL_TARGETS

    class InitSchema(BaseTransformInitSchema):
        """Checks of the parameters."""

        fill: Fill
        fill_mask: float

    def __init__(self, fill: Fill = GREY, fill_mask: float = 0, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.fill = fill
        self.fill_mask = fill_mask

    @abstractmethod
    def draw(self, height: int, width: int) -> list[Step]:
        """Draw the steps for frames of this size, from the random generators that all transforms of a list share."""

    def step(self, name: str, argument: float, height: int, width: int) -> Step:
        """Make one step, with Cutout's place drawn."""
        if name != "Cutout":
            return Step(name, argument)
        centre = self.py_random.randrange(height), self.py_random.randrange(width)
        return Step(name, argument, cutout_box(*centre, int(argument), height, width))

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw, once for all targets."""
        return {"steps": self.draw(*params["shape"][:2])}

    def apply(self, img: UInt8Array, steps: list[Step], **params: Any) -> UInt8Array:
        """Apply to uint8 `[H, W, 3]`."""
        for step in steps:
            img = apply_step(img, step, self.fill)
        return img

    def apply_to_mask(self, mask: npt.NDArray[Any], steps: list[Step], **params: Any) -> npt.NDArray[Any]:
        """Apply to `[H, W]` or `[H, W, C]`, with the nearest pixel."""
        for matrix in _matrices(steps, *params["shape"][:2]):
            mask = fgeometric.warp_affine(
                mask,
                geometric.at_pixel_centres(matrix),
                interpolation=cv2.INTER_NEAREST,
                fill=self.fill_mask,
                border_mode=cv2.BORDER_CONSTANT,
                output_shape=mask.shape[:2],
            )
        return mask

    def apply_to_bboxes(self, bboxes: npt.NDArray[Any], steps: list[Step], **params: Any) -> npt.NDArray[Any]:
        """Apply to `[N, 4+]`: the smallest upright boxes around what becomes of the boxes."""
        shape = params["shape"][:2]
        for matrix in _matrices(steps, *shape):
            bboxes = fgeometric.bboxes_affine(bboxes, matrix, "largest_box", shape, cv2.BORDER_CONSTANT, shape)
        return bboxes

    def apply_to_keypoints(self, keypoints: npt.NDArray[Any], steps: list[Step], **params: Any) -> npt.NDArray[Any]:
        """Apply to `[N, 5+]`: x, y, z, angle, scale."""
        shape = params["shape"][:2]
        for matrix in _matrices(steps, *shape):
            centred = geometric.at_pixel_centres(matrix)
            keypoints = fgeometric.keypoints_affine(keypoints, centred, shape, {"x": 1, "y": 1}, cv2.BORDER_CONSTANT)
        return keypoints


def _matrix(step: Step, height: int, width: int) -> Matrix:
    return GEOMETRIC[step.name](step.argument, height, width)


def _matrices(steps: list[Step], height: int, width: int) -> list[Matrix]:
    return [_matrix(step, height, width) for step in steps if step.name in GEOMETRIC]
