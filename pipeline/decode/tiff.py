"""TIFF of any number of bands, 8 or 16 bits a level: Pillow and OpenCV read four at most.

Baseline TIFF 6.0 (Adobe 1992) with strips or tiles (section 15), bands side by side or in planes, uncompressed or with
PackBits (section 9), LZW (section 13) or Deflate (technical note 2), perhaps as differences (section 14). The first
picture of a file is taken. Parts of LZW and PackBits are unpacked by Pillow's libtiff, as pictures of grey bytes.
"""

import io
import math
import struct
import zlib
from dataclasses import dataclass
from itertools import product
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL.TiffImagePlugin import TiffImageFile

from pipeline.decode.limits import MAX_IMAGE_PIXELS, MAX_TIFF_PARTS, BadSample, check_pixels

ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
FORMATS = {1: "B", 3: "H", 4: "I"}
"""TIFF's types BYTE, SHORT and LONG."""
WIDTH, HEIGHT, BITS, COMPRESSION, OFFSETS, ORIENTATION = 256, 257, 258, 259, 273, 274
SAMPLES, ROWS, COUNTS, PLANAR, PREDICTOR = 277, 278, 279, 284, 317
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, SAMPLE_FORMAT = 322, 323, 324, 325, 339
NONE, DEFLATE, BY_LIBTIFF = (1,), (8, 32946), (5, 32773)
ADVICE = "save it uncompressed or with LZW or Deflate, or as npy"


def is_tiff(start: bytes) -> bool:
    """Tell by a file's first bytes."""
    return start[:4] in ORDERS


@dataclass(frozen=True)
class Tiff:
    """The first directory of an open file: its tags' numbers. `order` is that of bytes, as `struct` has it."""

    file: BinaryIO
    order: str
    tags: dict[int, list[int]]

    @classmethod
    def of(cls, file: BinaryIO) -> "Tiff":
        """Read the directory. BadSample for one that is broken, or of a picture that cannot be read."""
        try:
            order = ORDERS[file.read(4)]
            file.seek(struct.unpack(f"{order}I", file.read(4))[0])
            (count,) = struct.unpack(f"{order}H", file.read(2))
            entries = list(struct.iter_unpack(f"{order}HHI4s", file.read(12 * count)))
            made = cls(file, order, {tag: cls._numbers(file, order, *entry) for tag, *entry in entries})
            made._check()
        except (struct.error, KeyError, IndexError, OverflowError, OSError) as error:
            raise BadSample(f"its header is broken: {error or 'it ends too early'}") from error
        return made

    @staticmethod
    def _numbers(file: BinaryIO, order: str, kind: int, count: int, value: bytes) -> list[int]:
        if kind not in FORMATS:
            return []
        if count > MAX_TIFF_PARTS:
            raise BadSample(f"the TIFF is cut into {count:,} parts, more than the {MAX_TIFF_PARTS:,} allowed")
        form = f"{order}{count}{FORMATS[kind]}"
        size = struct.calcsize(form)
        if size > len(value):
            file.seek(struct.unpack(f"{order}I", value)[0])
            value = file.read(size)
        return list(struct.unpack(form, value[:size]))

    def _check(self) -> None:
        check_pixels(self.width, self.height, MAX_IMAGE_PIXELS)
        if len(set(self.tags.get(BITS, [1]))) > 1 or self.bits not in (8, 16):
            raise BadSample(f"its bands have {sorted(set(self.tags.get(BITS, [1])))} bits, and 8 or 16 can be read")
        if set(self.tags.get(SAMPLE_FORMAT, [1])) != {1}:
            raise BadSample("its levels are signed or fractions, without a known white; save it with 8 or 16 bits")
        if self._one(COMPRESSION, 1) not in NONE + DEFLATE + BY_LIBTIFF or self._one(PREDICTOR, 1) not in (1, 2):
            raise BadSample(f"its compression, number {self._one(COMPRESSION, 1)}, cannot be read; {ADVICE}")
        if self._one(ORIENTATION, 1) != 1:
            raise BadSample("it is to be turned, which pictures of many bands or 16 bits are not; turn it before")

    def _one(self, tag: int, default: int | None = None) -> int:
        return self.tags[tag][0] if default is None or tag in self.tags else default

    @property
    def width(self) -> int:
        """In px."""
        return self._one(WIDTH)

    @property
    def height(self) -> int:
        """In px."""
        return self._one(HEIGHT)

    @property
    def channels(self) -> int:
        """Bands."""
        return self._one(SAMPLES, 1)

    @property
    def bits(self) -> int:
        """Of a level."""
        return self._one(BITS, 1)

    def levels(self) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
        """Read the picture, [H, W, C]. BadSample where a part is missing or broken."""
        is_tiled = TILE_OFFSETS in self.tags
        wide = self._one(TILE_WIDTH) if is_tiled else self.width
        high = self._one(TILE_HEIGHT) if is_tiled else min(self._one(ROWS, self.height), self.height)
        check_pixels(wide, high, MAX_IMAGE_PIXELS)
        of_parts = (TILE_OFFSETS, TILE_COUNTS) if is_tiled else (OFFSETS, COUNTS)
        offsets, counts = (self.tags.get(tag, []) for tag in of_parts)
        planes = self.channels if self._one(PLANAR, 1) == 2 else 1
        depth = self.channels // planes
        grid = range(planes), range(0, self.height, high), range(0, self.width, wide)
        asked = math.prod(map(len, grid))
        if not asked == len(offsets) == len(counts):
            raise BadSample(f"it has {min(len(offsets), len(counts)):,} parts of the {asked:,} that its size asks for")
        out = np.empty((self.height, self.width, self.channels), f"uint{self.bits}")
        for (plane, top, left), offset, count in zip(product(*grid), offsets, counts, strict=True):
            rows = high if is_tiled else min(high, self.height - top)
            part = self._part(offset, count, (rows, wide, depth))
            into = out[top : top + rows, left : left + wide, plane * depth : (plane + 1) * depth]
            into[:] = part[: into.shape[0], : into.shape[1]]
        return out

    def _part(self, offset: int, count: int, shape: tuple[int, int, int]) -> npt.NDArray[np.integer]:
        size = shape[0] * shape[1] * shape[2] * self.bits // 8
        self.file.seek(offset)
        data = self.file.read(min(count, 2 * size + 1024))
        if self._one(COMPRESSION, 1) in DEFLATE:
            try:
                data = zlib.decompressobj().decompress(data, size)
            except zlib.error as error:
                raise BadSample(f"the image is broken: {error}") from error
        elif self._one(COMPRESSION, 1) in BY_LIBTIFF:
            data = unpacked(data, self._one(COMPRESSION), shape[0], size // shape[0])
        if len(data) < size:
            raise BadSample(f"the image is cut off: a part of it has {len(data):,} bytes of {size:,}")
        part = np.frombuffer(data[:size], f"{self.order}u{self.bits // 8}").reshape(shape)
        if self._one(PREDICTOR, 1) == 2:
            return part.cumsum(1, dtype=f"uint{self.bits}")
        return part


def unpacked(data: bytes, compression: int, rows: int, row_bytes: int) -> bytes:
    """Unpack a part of so many rows as the strip of a TIFF of grey bytes. BadSample where it is broken or too short."""
    numbers = {WIDTH: row_bytes, HEIGHT: rows, BITS: 8, COMPRESSION: compression, 262: 1, SAMPLES: 1, ROWS: rows}
    start = 8 + 2 + 12 * (len(numbers) + 2) + 4
    tags = sorted({**numbers, OFFSETS: start, COUNTS: len(data)}.items())
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, number) for tag, number in tags)
    made = struct.pack("<4sIH", b"II*\0", 8, len(tags)) + directory + bytes(4) + data
    try:
        with TiffImageFile(io.BytesIO(made)) as picture:
            return picture.tobytes()
    except Exception as error:  # of whatever a broken part makes of the reader
        raise BadSample(f"the image is broken: {error}") from error
