"""Several looks at one picture in evaluation."""

import numpy as np


def three_crops(pixels: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    """Three crops that lie evenly along the longer side: uint8 [..., H, W, 3] to three [..., height, width, 3]."""
    spare_y, spare_x = pixels.shape[-3] - height, pixels.shape[-2] - width
    if min(spare_y, spare_x) < 0:
        raise ValueError(
            f"a crop of {height} x {width} does not fit into {pixels.shape[-3]} x {pixels.shape[-2]} pixels"
        )
    wide = pixels.shape[-2] >= pixels.shape[-3]
    corners = [(spare_y // 2, spare_x * i // 2) if wide else (spare_y * i // 2, spare_x // 2) for i in range(3)]
    return [pixels[..., y : y + height, x : x + width, :] for y, x in corners]
