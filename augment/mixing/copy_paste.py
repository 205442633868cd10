"""Copy-paste (Ghiasi et al. 2021, "Simple copy-paste is a strong data augmentation method for instance segmentation").

Which objects of another sample are laid over a picture is a matter of its masks, and so of the task.
"""

from dataclasses import dataclass

import numpy as np

from augment.mixing.base import Draw, draw_partner


@dataclass(frozen=True)
class CopyPaste:
    """About half of the objects of another sample are laid over each."""

    def draw(self, rng: np.random.Generator, size: int, height: int, width: int) -> Draw:
        """Draw the partner of a group, and a key for the objects."""
        shift = draw_partner(rng, size)
        return Draw((0, shift), (1.0, 0.0), paste=int(rng.integers(1 << 62))) if shift else Draw()
