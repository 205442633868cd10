"""A draw among ways of mixing."""

from dataclasses import dataclass

import numpy as np

from augment.mixing.base import Draw, Mixing


@dataclass(frozen=True)
class Choose:
    """Mix a group in one of several ways; what their probabilities leave of 1 is the chance to leave it as it is."""

    of: tuple[tuple[Mixing, float], ...]

    def __post_init__(self) -> None:
        """Refuse probabilities that are none."""
        probabilities = [probability for _, probability in self.of]
        if min(probabilities, default=0) < 0 or sum(probabilities) > 1 + 1e-9:
            raise ValueError(f"probabilities must not be negative nor sum to more than 1: {probabilities}")

    def draw(self, rng: np.random.Generator, size: int, height: int, width: int) -> Draw:
        """Return what one of the ways draws for a group, or nothing."""
        uniform = float(rng.random())
        for mixing, probability in self.of:
            if uniform < probability:
                return mixing.draw(rng, size, height, width)
            uniform -= probability
        return Draw()
