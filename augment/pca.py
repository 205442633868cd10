"""PCA colour augmentation (Krizhevsky et al. 2012, "AlexNet", section 4.1)."""

from typing import Annotated, Any

import albumentations as A
import cv2
import numpy as np
import numpy.typing as npt
from albumentations.core.transforms_interface import BaseTransformInitSchema
from pydantic import Field

UInt8Array = npt.NDArray[np.uint8]

# Of the RGB values in 0..1 of ImageNet's training pictures; a row a channel, a column an eigenvector
EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])
EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


def pca_shift(alpha: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what is added to R, G and B of pictures in 0..255, for the three drawn factors `alpha`."""
    return 255 * EIGENVECTORS @ (alpha * EIGENVALUES)


def add_colour(pixels: UInt8Array, shift: npt.NDArray[np.float64]) -> UInt8Array:
    """Add float `[3]` to uint8 `[H, W, 3]`, rounded and clipped."""
    matrix = np.column_stack([np.eye(3), shift]).astype(np.float32)
    return cv2.transform(pixels, matrix)  # type: ignore[return-value]  # cv2's hints leave the dtype open


class PCAColor(A.ImageOnlyTransform):
    """Shift all pixels along the principal axes of ImageNet's colours, by one draw from a normal distribution.

    `std` 0.1 is AlexNet's: about 3 grey levels, which one hardly sees. albumentations' `FancyPCA` is something else: it
    takes the axes from each picture.
    """

    class InitSchema(BaseTransformInitSchema):
        """Checks of the parameters."""

        std: Annotated[float, Field(ge=0, le=10)]

    def __init__(self, std: float = 0.1, p: float = 1.0) -> None:
        super().__init__(p=p)
        self.std = std

    def get_params(self) -> dict[str, Any]:
        """Draw, once for all frames."""
        return {"shift": pca_shift(self.random_generator.normal(0, self.std, 3))}

    def apply(self, img: UInt8Array, shift: npt.NDArray[np.float64], **params: Any) -> UInt8Array:
        """Apply to uint8 `[H, W, 3]`."""
        return add_colour(img, shift)
