"""Bodies out of maps: joints are where heat maps peak, and affinity fields say which of them belong together.

Numpy alone, and nothing of ours: an exported network has this file beside it. After Cao et al. 2017, "Realtime
multi-person 2D pose estimation using part affinity fields", section 2.4, and OpenPose's code.

J joints, L limbs; maps float [C, h, w] have a place every `stride` px, the first one at stride / 2 of the picture's
edge.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

FINER = 4
"""Maps are read so many times finer than they are."""
SAMPLES = 10
"""Places between two joints at which a limb's field is read."""
Array = np.ndarray
Pair = tuple[int, int]


class Constants(NamedTuple):
    """See `evaluate.assembly` of a recipe."""

    peak: float = 0.1
    limb: float = 0.05
    share: float = 0.8
    least_joints: int = 4
    least_score: float = 0.4


USUAL = Constants()


class Limb(NamedTuple):
    """One joint put together with another, by their numbers among the peaks of each; how well its field fits."""

    first: int
    second: int
    score: float


def finer(length: int) -> Array:
    """Make the matrix [FINER length, length] that enlarges a map along a side, by cubic convolution (Keys 1981)."""
    at = (np.arange(FINER * length) + 0.5) / FINER - 0.5
    low = np.floor(at).astype(int)
    matrix = np.zeros((len(at), length))
    for offset in (-1, 0, 1, 2):
        away = np.abs(at - (low + offset))
        near = 1.5 * away**3 - 2.5 * away**2 + 1
        far = -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
        weight = np.where(away <= 1, near, np.where(away < 2, far, 0))
        np.add.at(matrix, (np.arange(len(at)), np.clip(low + offset, 0, length - 1)), weight)
    return matrix


def enlarged(maps: Array) -> Array:
    """Enlarge maps [C, h, w] to [C, FINER h, FINER w]."""
    return finer(maps.shape[1]) @ maps.astype(np.float64) @ finer(maps.shape[2]).T


def beside_peak(left: Array, middle: Array, right: Array) -> Array:
    """Tell how far the top of a parabola through three places is from the middle one, in places."""
    bend = left - 2 * middle + right
    return np.divide(left - right, 2 * bend, out=np.zeros_like(bend), where=bend < 0).clip(-0.5, 0.5)


def placed(fine: Array, rows: Array, columns: Array, stride: float) -> Array:
    """Return x, y in px and the height of peaks of one enlarged map: [n, 3]."""
    padded = np.pad(fine, 1, mode="edge")
    rows, columns = rows + 1, columns + 1
    top = padded[rows, columns]
    x = columns - 1 + beside_peak(padded[rows, columns - 1], top, padded[rows, columns + 1])
    y = rows - 1 + beside_peak(padded[rows - 1, columns], top, padded[rows + 1, columns])
    return np.stack([(x + 0.5) * stride / FINER, (y + 0.5) * stride / FINER, top], 1)


def peaks(fine: Array, least: float, stride: float) -> Array:
    """Find where one enlarged map is higher than its four neighbours, and than `least`.

    Gives x, y in px and the height: [n, 3].
    """
    padded = np.pad(fine, 1, constant_values=-np.inf)
    middle = padded[1:-1, 1:-1]
    higher = (middle > padded[:-2, 1:-1]) & (middle >= padded[2:, 1:-1])
    higher &= (middle > padded[1:-1, :-2]) & (middle >= padded[1:-1, 2:]) & (middle > least)
    rows, columns = np.nonzero(higher)
    return placed(fine, rows, columns, stride)


def highest(heat: Array, joints: int, stride: float) -> tuple[Array, Array]:
    """Return the one body of a picture, each joint where its map is highest: [1, J, 3] and its score [1]."""
    fine = enlarged(heat[:joints])
    rows, columns = np.unravel_index(fine.reshape(joints, -1).argmax(1), fine.shape[1:])
    found = np.concatenate([placed(one, rows[i : i + 1], columns[i : i + 1], stride) for i, one in enumerate(fine)])
    found[:, 2] = found[:, 2].clip(0, 1)
    return found[None], found[None, :, 2].mean(1)


def between(maps: Array, x: Array, y: Array) -> Array:
    """Read maps [C, h, w] at places, linearly between their own: [C, ...]."""
    height, width = maps.shape[1:]
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = x - left, y - top
    upper = maps[:, top, left] * (1 - across) + maps[:, top, right] * across
    lower = maps[:, bottom, left] * (1 - across) + maps[:, bottom, right] * across
    return upper * (1 - down) + lower * down


def limbs_of(field: Array, first: Array, second: Array, stride: float, how: Constants) -> list[Limb]:
    """Put joints [n, 3] and [m, 3] together by a limb's field [2, h, w], the best pair first, each at most once.

    Limbs longer than half the picture's height are worth less.
    """
    if not len(first) or not len(second):
        return []
    way = second[None, :, :2] - first[:, None, :2]
    length = np.sqrt((way**2).sum(-1))
    unit = way / np.maximum(length, 1e-6)[..., None]
    steps = np.linspace(0, 1, SAMPLES)
    x, y = (first[:, None, None, axis] + way[..., None, axis] * steps for axis in (0, 1))
    seen = between(field, x / stride - 0.5, y / stride - 0.5)
    along = seen[0] * unit[..., None, 0] + seen[1] * unit[..., None, 1]
    score = along.mean(-1) + np.minimum(0.5 * stride * field.shape[1] / np.maximum(length, 1e-6) - 1, 0)
    fits = ((along > how.limb).sum(-1) > how.share * SAMPLES) & (score > 0)
    pairs = np.argwhere(fits)
    found: list[Limb] = []
    for i, j in pairs[np.argsort(-score[fits], kind="stable")].tolist():
        if all(i != limb.first and j != limb.second for limb in found):
            found.append(Limb(i, j, float(score[i, j])))
    return found


def tree(pairs: Sequence[Pair], order: Sequence[int]) -> set[int]:
    """Return the limbs that hang joints together, in their order; the others only add to bodies that are there."""
    part = {joint: joint for pair in pairs for joint in pair}
    chosen = set()
    for k in order:
        a, b = (part[joint] for joint in pairs[k])
        if a != b:
            chosen.add(k)
            part = {joint: a if one == b else one for joint, one in part.items()}
    return chosen


def assemble(
    heat: Array,
    limbs: Array,
    stride: float,
    joints: int,
    pairs: Sequence[Pair],
    order: Sequence[int],
    how: Constants = USUAL,
) -> tuple[Array, Array]:
    """Find the bodies of a picture.

    heat:  float [J or more, h, w]; limbs: float [2 L, h, w], x and y of each limb's field
    pairs: the joints of each limb; order: in which they are gone through

    Returns float [n, J, 3], x, y in px and the height of the joint's peak, 0, 0, 0 where there is none; and scores [n]
    of 0 to 1, the highest first: what joints and limbs add up to, of all that a whole body has.
    """
    found = [peaks(one, how.peak, stride) for one in enlarged(heat[:joints])]
    hangs = tree(pairs, order)
    bodies: list[dict[int, int]] = []
    scores: list[float] = []
    for k in order:
        a, b = pairs[k]
        for limb in limbs_of(limbs[2 * k : 2 * k + 2], found[a], found[b], stride, how):
            ends = {a: limb.first, b: limb.second}
            heights = {joint: float(found[joint][number, 2]) for joint, number in ends.items()}
            holders = [i for i, body in enumerate(bodies) if any(body.get(j) == n for j, n in ends.items())]
            if len(holders) == 2 and not bodies[holders[0]].keys() & bodies[holders[1]].keys():
                one, other = holders
                bodies[one] |= bodies.pop(other)
                scores[one] += scores.pop(other) + limb.score
            elif holders:
                body = bodies[holders[0]]
                for joint in ends.keys() - body.keys():
                    body[joint] = ends[joint]
                    scores[holders[0]] += heights[joint] + limb.score
            elif k in hangs:
                bodies.append(ends)
                scores.append(sum(heights.values()) + limb.score)
    kept = [
        i
        for i, body in enumerate(bodies)
        if len(body) >= min(how.least_joints, joints) and scores[i] / len(body) >= how.least_score
    ]
    kept.sort(key=lambda i: -scores[i])
    points = np.zeros((len(kept), joints, 3))
    for row, i in enumerate(kept):
        for joint, number in bodies[i].items():
            points[row, joint] = found[joint][number]
    points[..., 2] = points[..., 2].clip(0, 1)
    return points, np.clip([scores[i] / (joints + len(hangs)) for i in kept], 0, 1)
