"""Key points as sources say them, brought to the joints of the recipe's body; what is wrong with them is counted.

Key points of an object are x, y, v a joint, one after the other: px, and COCO's visibility: 0 not labelled, 1 hidden, 2
visible.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.base.errors import ZoetropeError, nearest
from pipeline.decode.limits import BadSample
from pipeline.decode.objects import DIGITS, OUTSIDE_PX, PLAIN
from pipeline.recipe.bodies import BODIES, LEFT, RIGHT, Skeleton, skeleton_of
from pipeline.recipe.tasks import Keypoints, TaskSection

AROUND = 0.1
"""Of the extent of a body's joints, what its box has more at each side, where a source has no boxes."""
PERSON = "person"
"""The class of bodies that have no other name."""
_SAME = {"upper_neck": "neck", "head": "head_top", "top_head": "head_top", "pinky": "little"}
UNLABELLED = "not labelled"
OUTSIDE, NO_NUMBER, ODD, PLACED, UNPLACED, BARE, EMPTY = (
    "key points outside of their picture",
    "key points whose place is no number",
    "key points whose visibility is none of 0, 1 and 2",
    "key points that have a place and the visibility 0",
    "key points at 0, 0 that are said to be labelled",
    "bodies without a labelled key point",
    "pictures without a body",
)
DONE = {
    OUTSIDE: f"they count as {UNLABELLED}",
    NO_NUMBER: f"they count as {UNLABELLED}",
    ODD: f"above 0 they count as visible, else as {UNLABELLED}",
    PLACED: f"they count as {UNLABELLED}, as COCO has it; do these annotations say 0 of what is hidden?",
    UNPLACED: f"they count as {UNLABELLED}",
    BARE: "they are neither learned nor measured, and what they cover is no background",
    EMPTY: "they are learned as background",
}
"""What is counted -> what is done with it."""
Points = npt.NDArray[np.float64]


class Reading(NamedTuple):
    """Which of a source's joints each of the body's is; of two it is the middle.

    given: the source's joints
    """

    picks: tuple[tuple[int, ...], ...]
    given: int

    def __call__(self, numbers: Sequence[float]) -> list[float]:
        """Bring the key points of an object to the body's joints. BadSample for another number of them."""
        if len(numbers) != 3 * self.given:
            raise BadSample(f"it has {len(numbers) / 3:g} key points, and {self.given} are named")
        points = np.array(numbers, np.float64).reshape(-1, 3)
        found = [points[list(pick)] for pick in self.picks]
        middle = [[*one[:, :2].mean(0), one[:, 2].min()] if (one[:, 2] > 0).all() else [0, 0, 0] for one in found]
        brought = [one[0] if len(one) == 1 else two for one, two in zip(found, middle, strict=True)]
        return [float(number) for joint in brought for number in joint]


def body_of(task: TaskSection) -> Skeleton | None:
    """Return the body of a task of key points; None for another task."""
    return skeleton_of(task.body) if isinstance(task, Keypoints) else None


def plain_name(joint: str) -> str:
    """Spell a joint as bodies here do: `left_knee` for "L-Knee"."""
    name = str(joint).strip().lower().replace("-", "_").replace(" ", "_")
    for short, side in (("l_", LEFT), ("r_", RIGHT)):
        name = side + name.removeprefix(short) if name.startswith(short) else name
    return _SAME.get(name, name)


def reading(names: Sequence[str], body: Skeleton, where: str) -> Reading:
    """Find the body's joints among those that a source names. ZoetropeError, naming what lacks, where one is not there.

    where: the recipe's key and its value, as the error begins
    """
    place = {plain_name(name): i for i, name in enumerate(names)}
    picks: list[tuple[int, ...]] = []
    for joint in body.joints:
        two = body.between.get(joint, ())
        if joint in place:
            picks.append((place[joint],))
        elif two and all(one in place for one in two):
            picks.append(tuple(place[one] for one in two))
        else:
            near = nearest(joint, list(place))
            hint = f"; did it call it {' or '.join(near)}?" if near else ""
            fit = [name for name, other in BODIES.items() if {*other.joints} <= {*place}]
            better = f" A body of its joints is {', '.join(fit)}: set task.body." if fit else ""
            raise ZoetropeError(
                f"{where} has no joint {joint!r}, which task.body has, but {', '.join(map(str, names))}{hint}.{better}"
            )
    return Reading(tuple(picks), len(names))


def reading_of(count: int, body: Skeleton, where: str) -> Reading:
    """Do so where a source names no joints: they are the body's, in its order, or those of a known body of as many."""
    if count == len(body.joints):
        return Reading(tuple((i,) for i in range(count)), count)
    known = next((one for one in BODIES.values() if len(one.joints) == count), None)
    if known is None:
        raise ZoetropeError(f"{where} has {count} key points a body, and task.body has {len(body.joints)} joints.")
    return reading(known.joints, body, where)


def box_around(numbers: Sequence[float]) -> tuple[float, float, float, float] | None:
    """Return the box around labelled joints and a tenth of its sides; None where there is none."""
    points = np.array(numbers, np.float64).reshape(-1, 3)
    points = points[(points[:, 2] > 0) & np.isfinite(points).all(1)][:, :2]
    if not len(points):
        return None
    low, high = points.min(0), points.max(0)
    more = np.maximum(AROUND * (high - low), 1.0)
    (x0, y0), (x1, y1) = (low - more).tolist(), (high + more).tolist()
    return x0, y0, x1, y1


def checked(
    keypoints: Sequence[Sequence[float] | None], crowd: Sequence[int], joints: int, width: int, height: int
) -> tuple[list[list[float] | None], Counter[str]]:
    """Check the key points of a picture's objects, and count by `DONE` what is not as COCO has it.

    Gives those of each object with v of 0, 1 and 2, and 0, 0, 0 where a joint is not labelled; None where none is.
    """
    counts: Counter[str] = Counter()
    found: list[list[float] | None] = []
    for numbers, is_crowd in zip(keypoints, crowd, strict=True):
        points = np.array(numbers or [0] * (3 * joints), np.float64).reshape(-1, 3)
        place, seen = points[:, :2], points[:, 2]
        bad = ~np.isfinite(points).all(1)
        odd = ~bad & ~np.isin(seen, (0, 1, 2))
        said = ~bad & (seen > 0)
        at_zero = said & (place == 0).all(1)
        beyond = (place < -OUTSIDE_PX).any(1) | (place > np.array([width, height]) + OUTSIDE_PX).any(1)
        out = said & ~at_zero & np.where(bad, False, beyond)
        without = ~bad & (seen == 0) & (place != 0).any(1)
        for what, which in ((NO_NUMBER, bad), (ODD, odd), (UNPLACED, at_zero), (OUTSIDE, out), (PLACED, without)):
            counts[what] += int(which.sum())
        labelled = said & ~at_zero & ~out
        kept = np.where(labelled[:, None], np.c_[place.clip(0, [width, height]), np.where(odd, 2, seen)], 0)
        found.append(np.round(kept, DIGITS).reshape(-1).tolist() if labelled.any() else None)
        counts[BARE] += int(is_crowd == PLAIN and not labelled.any())
    counts[EMPTY] += not found
    return found, +counts


def finite_or_nan(value: Any) -> float:
    """Return a number of annotations; NaN for what is none, which `checked` counts."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
