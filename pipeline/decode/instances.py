"""Instance maps: PNGs in which a pixel's value is the number of the object that it belongs to, or 0."""

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.decode.image_header import check_structure
from pipeline.decode.limits import BadSample
from pipeline.decode.masks import GREY, PALETTE, Size, encode_mask, probe_size, strictly
from pipeline.decode.objects import read_objects
from pipeline.decode.outlines import Bits, encode_runs
from pipeline.decode.values import Values

Instances = npt.NDArray[np.uint16]


def probe_instances(file: BinaryIO, width: int, height: int, values: Values | None = None) -> None:
    """Read a map's header. BadSample when it is none, or not as large as its picture of `width` x `height` px."""
    bits, colours = probe_size(file, width, height)
    if colours != PALETTE and (colours != GREY or bits not in (1, 8, 16)):
        raise BadSample("it should be a PNG of 8 or 16 bits of grey: the number of an object a pixel, 0 beside them")


def store_instances(
    content: bytes, source_size: Size, stored_size: Size, classes: int, values: Values | None = None
) -> tuple[bytes, Mapping[int, int]]:
    """Check a map wholly, and return what to store, a PNG of 16-bit grey, and no class: numbers of objects are free.

    source_size, stored_size: as of `store_mask`; each pixel is the nearest one
    """
    probe_instances(io.BytesIO(content), *source_size)
    check_structure(content)
    pixels = read_instances(content)
    if stored_size != source_size:
        pixels = cv2.resize(pixels, stored_size, interpolation=cv2.INTER_NEAREST_EXACT)  # type: ignore[assignment]
    return encode_mask(pixels), {}


def read_instances(data: bytes | memoryview, values: Values | None = None) -> Instances:
    """Read the numbers of objects, uint16 `[H, W]`. BadSample for bytes that are no such map."""
    pixels: Instances = strictly(data).astype(np.uint16)
    return pixels


def pieces(pixels: Instances) -> Iterator[tuple[int, int, int, Bits]]:
    """Yield each object of a map `[H, W]` by its number: the number, left, top, and its pixels in the box around it."""
    width = pixels.shape[1]
    places = np.flatnonzero(pixels)
    order = np.argsort(numbers := pixels.ravel()[places], kind="stable")
    ends = np.flatnonzero(np.diff(numbers[order])) + 1
    for own in np.split(places[order], ends) if len(places) else ():
        y, x = np.divmod(own, width)
        top, left = int(y.min()), int(x.min())
        bits = np.zeros((int(y.max()) + 1 - top, int(x.max()) + 1 - left), np.bool_)
        bits[y - top, x - left] = True
        yield int(pixels[y[0], x[0]]), left, top, bits


def instances_as_objects(pixels: Instances, name: str | int) -> dict[str, Any]:
    """Return the objects of a map `[H, W]`, all of one class, as `pipeline.sources.things.objects_of` gives objects."""
    height, width = pixels.shape
    found: dict[str, Any] = {"boxes": [], "classes": [], "areas": [], "outlines": [], "size": [width, height]}
    for _, left, top, bits in pieces(pixels):
        found["boxes"].append([float(left), float(top), float(left + bits.shape[1]), float(top + bits.shape[0])])
        found["classes"].append(name)
        found["areas"].append(float(bits.sum()))
        found["outlines"].append(encode_runs(bits, left, top, (height, width)))
    return found


def objects_of_map(content: bytes | memoryview, objects: bytes | memoryview | None = None) -> bytes | memoryview:
    """Return the content of an `objects.json` whose outlines are those of a map; BadSample for a map of other objects.

    objects: an `objects.json` that lies beside the map: its i-th object, from 0, has the number i + 1. Where it has
        outlines itself, they count. Without one, each number is an object of the class 1.
    """
    pixels = read_instances(content)
    if objects is None:
        return json.dumps(instances_as_objects(pixels, 1)).encode()
    count, said = len(read_objects(objects)), json.loads(bytes(objects))
    if "outlines" in said:
        return objects
    outlines = {number: encode_runs(bits, left, top, pixels.shape) for number, left, top, bits in pieces(pixels)}
    if odd := sorted(outlines.keys() ^ {*range(1, count + 1)}):
        raise BadSample(
            f"{'no pixel has' if odd[0] <= count else 'it has'} the number {odd[0]}, and there are {count} objects in "
            "objects.json, whose pixels have the numbers from 1 on, in their order"
        )
    said["outlines"] = [outlines[number] for number in range(1, count + 1)]
    return json.dumps(said).encode()
