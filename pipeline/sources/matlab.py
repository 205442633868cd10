"""Files of Matlab up to version 7: one variable of them, whose size has a cap; nothing of them is run or unpickled."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.sources.annotated import MAX_ANNOTATION_BYTES, read, wrong

HEADER = 128
COMPRESSED = 15
"""The type of an element that zlib has packed (MAT-File Format, "Data Element Format")."""
PIECE = 1 << 20


def loaded(path: str, name: str, **more: Any) -> Any:
    """Read a variable as `scipy.io.loadmat` gives it, with its options `more`; None where there is none of the name.

    ZoetropeError for a file that is none of Matlab's, or is larger unpacked than annotations may be.
    """
    from scipy.io import loadmat

    content = read(Path(path))
    if unpacked_bytes(content, MAX_ANNOTATION_BYTES) > MAX_ANNOTATION_BYTES:
        raise wrong(f"{path} has more than {MAX_ANNOTATION_BYTES >> 20} MiB once it is unpacked")
    try:
        return loadmat(io.BytesIO(content), variable_names=[name], **more).get(name)
    except Exception as error:  # of whatever a broken file makes of the reader
        raise wrong(f"{path} is no file of Matlab up to version 7: {error}") from error


def unpacked_bytes(content: bytes, most: int) -> int:
    """Count the bytes of a file once all of it is unpacked; no more is unpacked once it is above `most`."""
    order = "<" if content[126:128] == b"IM" else ">"
    at, total = HEADER, min(len(content), HEADER)
    while at + 8 <= len(content) and total <= most:
        kind, length = struct.unpack_from(f"{order}II", content, at)
        packed = memoryview(content)[at + 8 : at + 8 + length]
        at += 8 + length
        if kind != COMPRESSED:
            total += len(packed)
            continue
        unpack = zlib.decompressobj()
        rest: Any = packed
        try:
            while total <= most and (piece := unpack.decompress(rest, PIECE)):
                total += len(piece)
                rest = unpack.unconsumed_tail
        except zlib.error:  # the reader says what is wrong
            return total
    return total


def structs(value: Any) -> list[Any]:
    """Return the structures of an array of them, of one, or of none; read with `struct_as_record=False`."""
    return [one for one in np.asarray(value, object).ravel() if hasattr(one, "_fieldnames")]


def field(one: Any, name: str) -> Any:
    """Return a structure's field, the first value of an array; None where it is empty or not there."""
    value = np.asarray(vars(one).get(name)).ravel()
    return value[0] if len(value) else None
