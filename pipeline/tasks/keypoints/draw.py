"""Pictures with bodies: those that there are, those that a model says, and how the two agree."""

from collections.abc import Mapping

import numpy as np

from pipeline.figures.drawing import Drawing
from pipeline.figures.skeletons import Figure, draw_figures
from pipeline.recipe.bodies import LEFT, RIGHT, Skeleton
from pipeline.tasks.keypoints.fields import CELL_PX

TRUE = (255, 255, 255)
"""Of bodies that there are, beside those that are said."""
Arrays = Mapping[str, np.ndarray]


def truth(pixels: np.ndarray, fields: Arrays, body: Skeleton) -> Drawing:
    """Draw the labelled joints of a picture's bodies; what nobody labelled is dark."""
    points = true_points(fields)
    shown = _darkened(pixels, fields["unknown"])
    return Drawing(_drawn(shown, [Figure(one) for one in points], body), number(len(points)))


def said(pixels: np.ndarray, points: np.ndarray, body: Skeleton) -> Drawing:
    """Draw bodies that are said, [D, J, 3]."""
    return Drawing(_drawn(pixels, [Figure(one) for one in points], body), number(len(points)))


def compared(pixels: np.ndarray, points: np.ndarray, fields: Arrays, body: Skeleton) -> np.ndarray:
    """Draw what is said in colours, and what there is in thin white lines below it."""
    figures = [Figure(one) for one in points] + [Figure(one, TRUE, thin=True) for one in true_points(fields)]
    return _drawn(pixels, figures, body)


def true_points(fields: Arrays) -> np.ndarray:
    """Return the joints of the bodies that count, [N, J, 3]."""
    found: np.ndarray = fields["keypoints"][(fields["kind"] >= 0) & (fields["crowd"] == 0)]
    return found


def number(bodies: int) -> str:
    """Say how many bodies there are."""
    return f"{bodies} {'body' if bodies == 1 else 'bodies'}"


def _darkened(pixels: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Darken what `unknown` [h, w], as of the fields, tells of."""
    cells = unknown.repeat(CELL_PX, 0).repeat(CELL_PX, 1)[: pixels.shape[0], : pixels.shape[1], None] > 0
    found: np.ndarray = np.where(cells, pixels // 3, pixels)
    return found


def _drawn(pixels: np.ndarray, figures: list[Figure], body: Skeleton) -> np.ndarray:
    sides = [1 if name.startswith(LEFT) else -1 if name.startswith(RIGHT) else 0 for name in body.joints]
    return draw_figures(pixels, figures, body.limbs, sides)
