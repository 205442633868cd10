"""Several looks at one picture in evaluation."""

import numpy as np

from pipeline.base.errors import ZoetropeError


def three_crops(pixels: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    """Cut three crops that lie evenly along the longer side: uint8 [..., H, W, 3] to three [..., height, width, 3].

    ZoetropeError when they do not fit.
    """
    spare_y, spare_x = pixels.shape[-3] - height, pixels.shape[-2] - width
    if min(spare_y, spare_x) < 0:
        raise ZoetropeError(
            f"a crop of {width} x {height} px does not fit into {pixels.shape[-2]} x {pixels.shape[-3]} px"
        )
    wide = pixels.shape[-2] >= pixels.shape[-3]
    corners = [(spare_y // 2, spare_x * i // 2) if wide else (spare_y * i // 2, spare_x // 2) for i in range(3)]
    return [pixels[..., y : y + height, x : x + width, :] for y, x in corners]
