"""TIFF files of any bands, written by hand after TIFF 6.0."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def tiff(
    pixels: np.ndarray,
    order: str = "<",
    rows: int = 7,
    tile: int = 0,
    planar: bool = False,
    deflate: bool = False,
    differences: bool = False,
    compression: str = "",
    **tags: int,
) -> bytes:
    """A TIFF of pixels [H, W, C] in strips of `rows`, or in tiles of `tile` x `tile`.

    compression: as Pillow calls it, "tiff_lzw" or "packbits", by which its parts are packed
    tags: t274=6, ..., one SHORT each, added or in place of what is right
    """
    height, width, channels = pixels.shape
    bits = 8 * pixels.itemsize
    ordered = pixels.astype(f"{order}u{pixels.itemsize}")
    planes = [ordered[..., i : i + 1] for i in range(channels)] if planar else [ordered]
    if tile:
        padded = [np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0))) for plane in planes]
        corners = [(top, left) for top in range(0, height, tile) for left in range(0, width, tile)]
        parts = [plane[top : top + tile, left : left + tile] for plane in padded for top, left in corners]
    else:
        parts = [plane[top : top + rows] for plane in planes for top in range(0, height, rows)]
    if differences:
        parts = [np.diff(part, axis=1, prepend=part.dtype.type(0)) for part in parts]
    strips = [part.astype(ordered.dtype).tobytes() for part in parts]
    strips = [zlib.compress(strip) for strip in strips] if deflate else strips
    if compression:
        strips = [packed(part.astype(ordered.dtype), compression) for part in parts]
    offsets, data = [], b""
    for strip in strips:
        offsets.append(8 + len(data))
        data += strip + b"\0" * (len(strip) % 2)
    entries: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [bits] * channels),
        259: ("H", [{"tiff_lzw": 5, "packbits": 32773}.get(compression, 8 if deflate else 1)]),
        262: ("H", [1]),
        324 if tile else 273: ("I", offsets),
        277: ("H", [channels]),
        **({322: ("I", [tile]), 323: ("I", [tile])} if tile else {278: ("I", [rows])}),
        325 if tile else 279: ("I", [len(strip) for strip in strips]),
        284: ("H", [2 if planar else 1]),
        317: ("H", [2 if differences else 1]),
        **{int(name[1:]): ("H", [value]) for name, value in tags.items()},
    }
    directory, beside = b"", b""
    first = 8 + len(data) + 2 + 12 * len(entries) + 4
    for tag, (form, numbers) in sorted(entries.items()):
        value = struct.pack(f"{order}{len(numbers)}{form}", *numbers)
        if len(value) > 4:
            place = struct.pack(f"{order}I", first + len(beside))
            beside += value
            value = place
        directory += struct.pack(f"{order}HHI", tag, {"H": 3, "I": 4}[form], len(numbers)) + value.ljust(4, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    start = struct.pack(f"{order}I", 8 + len(data))
    return magic + start + data + struct.pack(f"{order}H", len(entries)) + directory + bytes(4) + beside


def packed(part: np.ndarray, compression: str) -> bytes:
    """The strip of a part [rows, W, C] as Pillow packs its bytes."""
    file = io.BytesIO()
    levels = np.frombuffer(part.tobytes(), np.uint8).reshape(len(part), -1)
    Image.fromarray(levels).save(file, "TIFF", compression=compression)
    with Image.open(file) as image:
        offsets, counts = image.tag_v2[273], image.tag_v2[279]  # type: ignore[attr-defined]  # of a TIFF
    assert len(offsets) == 1
    return file.getvalue()[offsets[0] : offsets[0] + counts[0]]
