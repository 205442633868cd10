"""A draw among ways of mixing."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from augment.mixing.base import MixedGroup, Mixing


@dataclass(frozen=True)
class Choose:
    """Mix a group in one of several ways; what their probabilities leave of 1 is the chance to leave it as it is."""

    of: tuple[tuple[Mixing, float], ...]

    def __post_init__(self) -> None:
        """Refuse probabilities that are none."""
        probabilities = [probability for _, probability in self.of]
        if min(probabilities, default=0) < 0 or sum(probabilities) > 1 + 1e-9:
            raise ValueError(f"probabilities must not be negative nor sum to more than 1: {probabilities}")

    def __call__(self, x: Tensor, rng: np.random.Generator) -> MixedGroup:
        """Mix one group, or not."""
        draw = float(rng.random())
        for mixing, probability in self.of:
            if draw < probability:
                return mixing(x, rng)
            draw -= probability
        return MixedGroup(x)
