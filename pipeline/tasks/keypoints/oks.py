"""Object keypoint similarity, by which COCO says whether a body was found, and PCK, the share of joints that were.

D bodies that are said, N that there are, J joints. After pycocotools' `computeOks`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

Arrays = Mapping[str, np.ndarray]
SHARE = 0.2
"""Of a body's length, within which a joint is right (PCK@0.2)."""


def similarities(points: np.ndarray, truth: Arrays, sigmas: Sequence[float]) -> np.ndarray:
    """Compute OKS float64 [D, N].

    points: [D, J, 3], x, y and 0 where a joint is not said, which is then as far away as can be
    truth:  `keypoints` [N, J, 3], `boxes` [N, 4] and `area` [N], all in px of one picture

    Of a body without a labelled joint it goes by how far joints lie outside of its box, enlarged by its size at each
    side.
    """
    measured = [joint for joint, sigma in enumerate(sigmas) if sigma > 0]
    variance = (2 * np.array(sigmas, np.float64)[measured]) ** 2
    said, true = points[:, measured].astype(np.float64), truth["keypoints"][:, measured].astype(np.float64)
    away = said[:, None, :, :2] - true[None, ..., :2]
    x0, y0, x1, y1 = truth["boxes"].astype(np.float64).T
    low = np.stack([x0 - (x1 - x0), y0 - (y1 - y0)], -1)[None, :, None]
    high = np.stack([x1 + (x1 - x0), y1 + (y1 - y0)], -1)[None, :, None]
    beyond = np.maximum(0, low - said[:, None, :, :2]) + np.maximum(0, said[:, None, :, :2] - high)
    seen: np.ndarray = said[..., 2] > 0
    labelled: np.ndarray = true[..., 2] > 0
    bare: np.ndarray = np.logical_not(labelled.any(1))
    away = np.where(bare[:, None, None], beyond, away)
    area = truth["area"].astype(np.float64)[:, None] + np.spacing(1)
    near = np.exp(-(away**2).sum(-1) / (2 * variance * area)) * seen[:, None]
    counts = labelled | bare[:, None]
    return (near * counts).sum(-1) / np.maximum(counts.sum(-1), 1)


def extents(points: np.ndarray) -> np.ndarray:
    """Return the boxes around the joints that are said, [D, 4]; as pycocotools has a result's, by which it has a
    size.
    """
    seen = points[..., 2:] > 0
    low = np.where(seen, points[..., :2], np.inf).min(1)
    high = np.where(seen, points[..., :2], -np.inf).max(1)
    return np.where(np.isfinite(np.concatenate([low, high], 1)), np.concatenate([low, high], 1), 0)


def lengths(truth: Arrays, torso: tuple[int, int] | None, mirrored: Sequence[int]) -> np.ndarray:
    """Return the length that PCK goes by of each body, float64 [N], NaN where it is not known.

    torso: the two joints that it lies between; where one is not labelled, the two of the other side; None: the longer
    side of the box
    """
    if torso is None:
        sides: np.ndarray = (truth["boxes"][:, 2:] - truth["boxes"][:, :2]).astype(np.float64)
        return sides.max(1, initial=0)
    found = np.full(len(truth["keypoints"]), np.nan)
    for a, b in ((mirrored[torso[0]], mirrored[torso[1]]), torso):
        one, other = (truth["keypoints"][:, joint].astype(np.float64) for joint in (a, b))
        known = (one[:, 2] > 0) & (other[:, 2] > 0)
        found = np.where(known, np.linalg.norm(one[:, :2] - other[:, :2], axis=1), found)
    return found


def matched(similarity: np.ndarray) -> np.ndarray:
    """Give each body that there is what is most like it, the most alike first: int [N], -1 where nothing is left."""
    free = similarity.copy()
    found = np.full(free.shape[1], -1)
    while free.size and free.max() > 0:
        d, n = np.unravel_index(free.argmax(), free.shape)
        found[n] = d
        free[d], free[:, n] = -1, -1
    return found


def right_joints(
    points: np.ndarray, truth: Arrays, length: np.ndarray, match: np.ndarray, share: float = SHARE
) -> tuple[np.ndarray, np.ndarray]:
    """Count joints of bodies that count: those that lie within a share of the length, and all, int [J] each.

    length, match: as `lengths` and `matched` give them
    """
    counted = (truth["crowd"] == 0) & np.isfinite(length)
    true, there = truth["keypoints"][counted], match[counted]
    labelled = true[..., 2] > 0
    said = points[there] if len(points) else np.zeros_like(true)
    away = np.linalg.norm(said[..., :2].astype(np.float64) - true[..., :2], axis=-1)
    right = labelled & (there >= 0)[:, None] & (said[..., 2] > 0) & (away < share * length[counted, None])
    return right.sum(0), labelled.sum(0)
