"""Instance maps: PNGs in which a pixel's value is the number of the object that it belongs to, or 0."""

import io
from collections.abc import Mapping
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.decode.image_header import check_structure
from pipeline.decode.limits import BadSample
from pipeline.decode.masks import GREY, PALETTE, Size, encode_mask, probe_size, strictly
from pipeline.decode.outlines import encode_runs
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


def instances_as_objects(pixels: Instances, name: str) -> dict[str, Any]:
    """Return the objects of a map `[H, W]`, all of one class, as `pipeline.sources.things.objects_of` gives objects."""
    height, width = pixels.shape
    places = np.flatnonzero(pixels)
    order = np.argsort(numbers := pixels.ravel()[places], kind="stable")
    ends = np.flatnonzero(np.diff(numbers[order])) + 1
    found: dict[str, Any] = {"boxes": [], "classes": [], "areas": [], "outlines": [], "size": [width, height]}
    for own in np.split(places[order], ends) if len(places) else ():
        y, x = np.divmod(own, width)
        top, left, bottom, right = int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1
        bits = np.zeros((bottom - top, right - left), np.bool_)
        bits[y - top, x - left] = True
        found["boxes"].append([float(left), float(top), float(right), float(bottom)])
        found["classes"].append(name)
        found["areas"].append(float(len(own)))
        found["outlines"].append(encode_runs(bits, left, top, (height, width)))
    return found
