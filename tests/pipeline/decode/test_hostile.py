"""Files made to harm are refused in words, or read in little memory: a table, each row in both decoders.

All rows are read in a process of its own whose memory is measured, as a bomb would take this one along.
"""

import io
import os
import pickle
import re
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import ZoetropeError
from pipeline.decode.foreign import probe_foreign
from pipeline.decode.image import check_and_store_image, decode_image
from pipeline.decode.limits import BadSample

INFLATED_BYTES = 300 << 20
ALLOWED_BYTES = 120 << 20
"""What all rows together may take beside what the process has at its start; one bomb takes 300 MB."""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int = 32, height: int = 32, extra: bytes = b"", data: bytes | None = None) -> bytes:
    """A grey PNG whose header says what one likes."""
    rows = zlib.compress(bytes(33 * 32), 9) if data is None else data
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@cache
def bomb() -> bytes:
    """300 KB that inflate to 300 MB."""
    made = zlib.compressobj(9)
    data = b"".join(made.compress(bytes(1 << 20)) for _ in range(INFLATED_BYTES >> 20)) + made.flush()
    assert len(data) < 310_000
    return data


def picture(format_: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(file, format_)
    return file.getvalue()


def jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(picture("JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def bmp_of(width: int, height: int) -> bytes:
    data = bytearray(picture("BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def gif_of(width: int, height: int) -> bytes:
    data = bytearray(picture("GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def jpeg_of_scans(more: int, segment: bytes = b"") -> bytes:
    """A progressive JPEG whose last scan comes `more` times more, and with a segment before its first."""
    file = io.BytesIO()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    return data[:2] + segment + data[2:-2] + data[data.rindex(b"\xff\xda") : -2] * more + data[-2:]


def tiff(side: int = 32, strips: int = 1, tags: int = 0, big: bool = False) -> bytes:
    """A grey TIFF, in strips that all lie at the same place; `tags` more have the same 1 MB as their values."""
    content = bytes(56 + max(1024, 4 * (strips - 1), tags and 1 << 20))
    numbers = {256: side, 257: side, 258: 8, 259: 1, 262: 1, 277: 1, 278: side}
    entries = [(tag, 4, 1, value) for tag, value in numbers.items()]
    entries += [(273, 4, strips, 64), (279, 4, strips, 1024 if strips == 1 else 64)]
    entries += [(1000 + i, 7, 1 << 20, 64) for i in range(tags)]
    at = 64 + len(content)
    head = struct.pack("<4sHHQ", b"II+\0", 8, 0, at) if big else struct.pack("<4sI", b"II*\0", at)
    directory = b"".join(struct.pack("<HHQQ" if big else "<HHII", *entry) for entry in sorted(entries))
    return head.ljust(64, b"\0") + content + struct.pack("<Q" if big else "<H", len(entries)) + directory + bytes(8)


HUGE_CHUNK = struct.pack(">I", 2**31 - 1) + b"tEXt" + bytes(9)
NO_IMAGE = "no image that can be read"
TOO_MANY = "more than the 89,478,485"
TABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    # name: (content, why it is refused; "" where it is read)
    "PNG, 60,000 x 60,000": (lambda: png(60_000, 60_000), TOO_MANY),
    "PNG, 60,000 x 60,000 that inflates": (lambda: png(60_000, 60_000, data=bomb()), TOO_MANY),
    "PNG, 2^31 - 1 wide": (lambda: png(2**31 - 1, 1), TOO_MANY),
    "PNG without a size": (lambda: png(0, 0), NO_IMAGE),
    "PNG, 300 MB of pixels in 32 x 32": (lambda: png(data=bomb()), ""),
    "PNG, 300 MB of text": (
        lambda: png(extra=chunk(b"zTXt", b"k\0\0" + bomb())),
        "header is broken: Decompressed data too large",
    ),
    "PNG, 300 MB of international text": (
        lambda: png(extra=chunk(b"iTXt", b"k\0\1\0\0\0" + bomb())),
        "header is broken: Decompressed data too large",
    ),
    "PNG, 300 MB of colour profile": (
        lambda: png(extra=chunk(b"iCCP", b"k\0\0" + bomb())),
        "header is broken: Decompressed data too large",
    ),
    "PNG, a chunk of 2 GB": (lambda: png(extra=HUGE_CHUNK), "a part of it ends behind the file"),
    "PNG, one after its pixels": (lambda: png()[:-12] + HUGE_CHUNK, "a part of it ends behind the file"),
    "PNG, an unknown one": (lambda: png()[:-12] + HUGE_CHUNK[:4] + b"abCd" + bytes(9), "ends behind the file"),
    "JPEG, 65,500 x 65,500": (lambda: jpeg_of(65_500, 65_500), TOO_MANY),
    "BMP, 60,000 x 60,000": (lambda: bmp_of(60_000, 60_000), TOO_MANY),
    "BMP, upside down beyond 32 bits": (lambda: bmp_of(32, -(2**31)), TOO_MANY),
    "JPEG, 300 scans": (lambda: jpeg_of_scans(300), "has 310 scans, more than the 100 allowed"),
    "JPEG, 90 scans": (lambda: jpeg_of_scans(80), ""),
    "JPEG, and behind it what looks like scans": (lambda: picture("JPEG") + b"\xff\xda" * 300, ""),
    "JPEG, and in a comment of it": (lambda: jpeg_of_scans(0, b"\xff\xfe\x02\x5a" + b"\xff\xda" * 300), ""),
    "TIFF, 60,000 x 60,000": (lambda: tiff(60_000), TOO_MANY),
    "TIFF, 200,000 strips": (lambda: tiff(strips=200_000), "cut into 200,000 parts, more than the 100,000"),
    "TIFF, big, as many": (lambda: tiff(strips=200_000, big=True), "cut into 200,000 parts"),
    "TIFF, 2,000 tags that share 1 MB": (lambda: tiff(tags=2000), ""),
    "GIF, 60,000 x 60,000": (lambda: gif_of(60_000, 60_000), TOO_MANY),
    "an EPS, which Pillow would hand to Ghostscript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n", NO_IMAGE),
    "an SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', NO_IMAGE),
    "a pickle": (lambda: pickle.dumps(print), NO_IMAGE),
    "a playlist": (lambda: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", NO_IMAGE),
}


def outcome(read: Callable[[bytes], object], data: bytes) -> str:
    """The reason of a refusal, "" for what is read; anything else passes through."""
    try:
        read(data)
    except BadSample as error:
        return error.reason
    return ""


READERS: dict[str, Callable[[bytes], object]] = {
    "stored": lambda data: check_and_store_image(data, ".png", 64, 95, True),
    "adopted": lambda data: probe_foreign(data, "image"),
}


def main() -> None:
    """Read every row with every reader, the feed after them what they let pass; say what became of it and of memory."""
    decode_image(picture("PNG"))
    contents = {name: make() for name, (make, _) in TABLE.items()}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, data in contents.items():
        said = {who: outcome(read, data) for who, read in READERS.items()}
        for who, reason in said.items():
            print(f"{name}\t{who}\t{reason}")
        if not all(said.values()):
            decode_image(data)
    print(f"memory\t\t{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before}")


@pytest.fixture(scope="module")
def told() -> dict[tuple[str, str], str]:
    """(row, reader) -> outcome, of a process of its own."""
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, __file__],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return {(name, who): said for name, who, said in rows}


@pytest.mark.parametrize("name", TABLE)
def test_hostile_images(name: str, told: dict[tuple[str, str], str]) -> None:
    _, reason = TABLE[name]
    for who in READERS:
        assert re.search(reason, told[name, who]) if reason else told[name, who] == "", who


def test_no_bomb_goes_off(told: dict[tuple[str, str], str]) -> None:
    assert int(told["memory", ""]) * 1024 < ALLOWED_BYTES


VIDEOS: dict[str, tuple[bytes, str]] = {
    "HLS playlist": (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "no MP4"),
    "concat script": (b"ffconcat version 1.0\nfile /etc/passwd\n", "no MP4"),
    "SDP": (b"v=0\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n", "no MP4"),
    "pickle": (pickle.dumps(print), "no MP4"),
    "MP4 that claims 2 GB": (struct.pack(">I", 2**31) + b"ftypisom" + bytes(64), "cannot be opened|no video"),
    "MP4, a box in itself": (b"\0\0\0\x08ftyp" + b"\0\0\0\0moov" * 5000, "cannot be opened|no video"),
    "endless Matroska": (b"\x1a\x45\xdf\xa3" + b"\xff" * 4096, "cannot be opened|cut off"),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_hostile_videos(name: str) -> None:
    data, reason = VIDEOS[name]
    with pytest.raises(ZoetropeError, match=reason):
        probe_foreign(data, "video")


if __name__ == "__main__":
    main()
