"""Objects of a picture: their boxes and classes, and what else annotations say of them, as JSON.

Boxes are in px of the picture as it is shown and stored, x to the right, y down, x0, y0, x1, y1: edges, so that the box
of the pixel columns a to b is a, b + 1. A sample's member `objects.json` holds

    {"size": [w, h], "boxes": [[x0, y0, x1, y1]], "classes": [0], "crowd": [0], "areas": [1.0], "outlines": [...],
     "keypoints": [...]}

`size` is that of the source's picture in px, and `areas` are in its px, as size classes of measures are. What a source
does not say is left out. An outline is a list of polygons [x0, y0, x1, y1, ...], run lengths as COCO has them (of the
source's picture, whose size they hold), or null; key points are [x, y, visibility, ...].
"""

import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.decode.limits import BadSample, check_bytes
from pipeline.decode.values import IGNORED, Values, spans

PLAIN, CROWD, DIFFICULT = 0, 1, 2
"""`crowd`: one object; several as one, whose overlap is counted over what is detected (COCO); one that is neither to be
found nor missed (VOC)."""
MAX_BYTES = 64 << 20
MAX_OBJECTS = 10_000
OUTSIDE_PX = 1.0
"""What a box may stand out of its picture: annotations are rounded."""
DIGITS = 4
"""Of numbers in px, behind the point."""
PARALLEL = ("classes", "crowd", "areas", "outlines", "keypoints")
"""Keys that have an entry an object, as `boxes` has."""


@dataclass(frozen=True, eq=False)
class Objects:
    """The N objects of a picture.

    boxes:   float32 [N, 4], in px of the stored picture
    classes: int64 [N]
    crowd:   uint8 [N]: PLAIN, CROWD or DIFFICULT
    areas:   float32 [N], in px of the source's picture: of what the annotations outline, or of the box
    size:    (width, height) of the source's picture in px
    outlines: of each object, None where it has none; () where no object has
    keypoints: as JSON has them, an entry an object; none where nothing is said
    """

    boxes: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.uint8]
    areas: npt.NDArray[np.float32]
    size: tuple[int, int]
    outlines: Sequence[Any] = ()
    keypoints: Sequence[Any] = ()

    def __len__(self) -> int:
        return len(self.boxes)


def read_objects(content: bytes | memoryview, values: Values | None = None) -> Objects:
    """Read what `store_objects` wrote, or lies in a tar. BadSample for anything else.

    values: what the classes' numbers mean; objects of a class that does not count are left out
    """
    _, found = _parsed(content)
    if values is None:
        return found
    known = np.array([values.of.get(number, IGNORED) for number in found.classes.tolist()], np.int64)
    left = known != IGNORED
    outlines, keypoints = (
        [one for one, stays in zip(of, left.tolist(), strict=False) if stays] if of else ()
        for of in (found.outlines, found.keypoints)
    )
    arrays = found.boxes[left], known[left], found.crowd[left], found.areas[left]
    return Objects(*arrays, found.size, outlines, keypoints)


def probe_objects(file: BinaryIO, width: int, height: int, values: Values | None = None) -> None:
    """Read them wholly. BadSample for what is none, and for a box that is empty or not in its picture."""
    _check_boxes(_parsed(_content(file))[1].boxes, width, height)


def count_objects(content: bytes | memoryview, values: Values) -> dict[int, int]:
    """Count the objects of each class, by the numbers that the file has. BadSample for a number that means nothing."""
    _, found = _parsed(content)
    counts = Counter(found.classes.tolist())
    if values.of and (unknown := sorted(counts.keys() - values.of.keys())):
        raise BadSample(
            f"it has an object of the class {unknown[0]}; data.source.classes and ignore name {spans(values.of)}: add "
            "it to one of them"
        )
    return dict(counts)


def store_objects(
    content: bytes,
    source_size: tuple[int, int],
    stored_size: tuple[int, int],
    classes: int,
    values: Values | None = None,
) -> tuple[bytes, Mapping[int, int]]:
    """Check them wholly, and return what to store, in px of the stored picture, and how many there are of each class.

    source_size, stored_size: as of `store_mask`; the content is in px of the source's picture
    """
    said, found = _parsed(content)
    _check_boxes(found.boxes, *source_size)
    if found.classes.size and int(found.classes.max()) >= classes:
        raise BadSample(f"it has an object of the class {found.classes.max()}, and classes are 0 to {classes - 1}")
    stored = {"size": list(source_size), **_scaled(said, found, source_size, stored_size)}
    return json.dumps(stored, separators=(",", ":")).encode(), Counter(found.classes.tolist())


def _scaled(
    said: Mapping[str, Any], found: Objects, source_size: tuple[int, int], stored_size: tuple[int, int]
) -> dict[str, Any]:
    """Return the keys in px of the stored picture, clipped to it."""
    scale = np.array([stored / source for stored, source in zip(stored_size, source_size, strict=True)] * 2)
    boxes = np.array(said["boxes"], np.float64).reshape(-1, 4) * scale
    boxes = np.clip(boxes, 0, [*stored_size, *stored_size])
    kept = {"boxes": _rounded(boxes), **{key: said[key] for key in PARALLEL if key in said}}
    x, y = scale[:2]
    if stored_size != source_size:
        kept["areas"] = _rounded(found.areas)
    if "outlines" in kept:
        kept["outlines"] = [_outline(one, x, y) for one in kept["outlines"]]
    if "keypoints" in kept:
        kept["keypoints"] = [one and _points(one, x, y, 1) for one in kept["keypoints"]]
    return kept


def _outline(outline: Any, x: float, y: float) -> Any:
    """Scale polygons; run lengths stay, as they hold the size of their picture."""
    return [_points(points, x, y) for points in outline] if isinstance(outline, list) else outline


def _points(numbers: Any, *factors: float) -> list[float]:
    """Multiply x, y (and what follows them) of each point by its factor. BadSample for what is no list of numbers."""
    try:
        points = np.array(numbers, np.float64).reshape(-1, len(factors))
    except (TypeError, ValueError):
        raise BadSample("its outlines or key points are no lists of numbers, a point after the other") from None
    if not np.isfinite(points).all():
        raise BadSample("its outlines or key points have a value that means nothing")
    return _rounded((points * factors).reshape(-1))


def _rounded(numbers: npt.NDArray[Any]) -> Any:
    return np.round(numbers, DIGITS).tolist()


def _content(file: BinaryIO) -> bytes:
    check_bytes(file.seek(0, io.SEEK_END), MAX_BYTES)
    file.seek(0)
    return file.read()


def _parsed(content: bytes | memoryview) -> tuple[dict[str, Any], Objects]:
    """Return the JSON, and its numbers as arrays."""
    check_bytes(len(content), MAX_BYTES)
    try:
        said = json.loads(bytes(content))
    except (ValueError, RecursionError):
        raise BadSample("it is no JSON") from None
    if not isinstance(said, dict) or not {"size", "boxes", "classes"} <= said.keys():
        raise BadSample('it has not the keys "size", "boxes" and "classes" of objects')
    count = len(said["boxes"]) if isinstance(said["boxes"], list) else -1
    if not 0 <= count <= MAX_OBJECTS:
        raise BadSample(f"its boxes are no list, or more than {MAX_OBJECTS:,}")
    for key in PARALLEL:
        if key in said and (not isinstance(said[key], list) or len(said[key]) != count):
            raise BadSample(f"its {key} are no list of {count}, one an object, as its boxes are")
    boxes = _array(said["boxes"], "boxes", np.float32, (count, 4))
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    return said, Objects(
        boxes,
        _array(said["classes"], "classes", np.int64, (count,), lambda found: found >= 0),
        _array(said["crowd"], "crowd", np.uint8, (count,), lambda found: found <= DIFFICULT)
        if "crowd" in said
        else np.full(count, PLAIN, np.uint8),
        _array(said["areas"], "areas", np.float32, (count,)) if "areas" in said else width * height,
        tuple(_array(said["size"], "size", np.int64, (2,), lambda found: found > 0).tolist()),
        said.get("outlines", ()),
        said.get("keypoints", ()),
    )


def _array(
    said: Sequence[Any],
    key: str,
    dtype: Any,
    shape: tuple[int, ...],
    right: Callable[[npt.NDArray[Any]], npt.NDArray[np.bool_]] = np.isfinite,
) -> npt.NDArray[Any]:
    try:
        found = np.array(said, dtype).reshape(shape)
    except (TypeError, ValueError, OverflowError):
        raise BadSample(f"its {key} are no numbers of the shape {list(shape)}") from None
    if not right(found).all():
        raise BadSample(f"its {key} have a value that means nothing")
    return found


def _check_boxes(boxes: npt.NDArray[np.float32], width: int, height: int) -> None:
    empty = (boxes[:, :2] >= boxes[:, 2:]).any(1)
    out = (boxes < -OUTSIDE_PX).any(1) | (boxes > np.array([width, height] * 2) + OUTSIDE_PX).any(1)
    for wrong, what in ((empty, "has no size"), (out, f"is not in its picture of {width} x {height} px")):
        if (at := np.flatnonzero(wrong)).size:
            numbers = ", ".join(f"{number:g}" for number in boxes[at[0]])
            raise BadSample(f"a box {what}: x0, y0, x1, y1 = {numbers}")
