"""Whether a video's file is there to its end, told by its structure: FFmpeg takes a cut file for a shorter one.

Counts and durations of headers are not looked at, since good files have wrong ones: AVI counts frames that repeat the
one before, Matroska gives the length of the sound. MPEG-PS promises nothing, MPEG-TS whole packets only.
"""

import io
import struct
from collections.abc import Callable
from typing import BinaryIO

from pipeline.decode.container import mpegts_grid
from pipeline.decode.limits import BadSample

AVI_OPEN = (0, 0xFFFFFFFF)
"""Sizes of a part whose writer could not go back to fill them in, as into a pipe."""
SEGMENT, CLUSTER = 0x18538067, 0x1F43B675
MATROSKA_IDS = frozenset(
    # EBML, Segment, SeekHead, Info, Tracks, Cues, Attachments, Chapters, Tags, Void, CRC-32
    {0x1A45DFA3, SEGMENT, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367}
    | {0xEC, 0xBF}
    # Cluster, its Timestamp, Position, PrevSize, SilentTracks, SimpleBlock, BlockGroup, EncryptedBlock
    | {CLUSTER, 0xE7, 0xA7, 0xAB, 0x5854, 0xA3, 0xA0, 0xAF}
)
"""What may lie in a Segment and in a Cluster. RFC 9559, section 5.1."""
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")


def check_whole(file: BinaryIO, demuxer: str) -> None:
    """Raise `BadSample` when a part of the file ends behind it, or the file has no end. `file` stays where it is."""
    here, size = file.tell(), file.seek(0, io.SEEK_END)
    end = _ENDS[demuxer](file, size) if demuxer in _ENDS else size
    file.seek(here)
    if end > size:
        raise BadSample(f"the video is cut off: {size:,} of at least {end:,} bytes are there")


def _avi_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last chunk: within the list of frames where its length is open.

    Behind the RIFF's own end only another RIFF belongs to the file (OpenDML).
    """
    at, end, riff_end, is_open = 0, 0, 0, False
    while len(head := _read(file, at, 8)) == 8:
        kind, length = struct.unpack("<4sI", head)
        if kind == b"RIFF":
            riff_end = size if length in AVI_OPEN else at + 8 + length
            at += 12
            continue
        if at >= riff_end:
            break
        if length in AVI_OPEN and kind == b"LIST":
            at, is_open = at + 12, True
            continue
        end = at + 8 + length
        at = end + length % 2
    return at + 8 if is_open and 0 < len(head) < 8 else end


def _matroska_end(file: BinaryIO, size: int) -> int:
    """Return the end of the Segment, or of its last element where its length is open (a live recording)."""
    at, end, segment_end = 0, 0, size
    while at < min(size, segment_end) and end <= size:
        head = _read(file, at, 12)
        element, length, body = _ebml(head)
        if element not in MATROSKA_IDS:
            if len(head) < 12:
                return size + 1
            raise BadSample(f"the video is damaged: no Matroska element begins at byte {at:,}")
        end = max(end, at + body + (length or 0))
        if element == SEGMENT and length is not None:
            segment_end = at + body + length
        at += body + (0 if element in (SEGMENT, CLUSTER) else length or 0)
    return end


def _ebml(head: bytes) -> tuple[int, int | None, int]:
    """Return (id, length of the body or None where it is open, length of the head) of an element. RFC 8794, sections
    4-6.

    The leading zero bits of a number give its length in bytes; the id keeps its marking bit. Id 0: there is none.
    """
    id_bytes = 9 - head[0].bit_length()
    if len(head) <= id_bytes or head[id_bytes] == 0:
        return 0, None, len(head)
    size_bytes = 9 - head[id_bytes].bit_length()
    ones = (1 << 7 * size_bytes) - 1
    length = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & ones
    return int.from_bytes(head[:id_bytes], "big"), None if length == ones else length, id_bytes + size_bytes


def _mov_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last box of the index or of pictures.

    What follows those may be anything: phones append notes.
    """
    at, end = 0, 0
    while len(head := _read(file, at, 16)) >= 8:
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # 0: to the file's end
            break
        at += length
        if kind in (b"moov", b"moof", b"mdat"):
            end = at
    return end


def _flv_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last tag. Adobe Flash Video File Format Specification 10.1, annex E."""
    end = int.from_bytes(_read(file, 5, 4), "big")
    while len(head := _read(file, end + 4, 11)) > 0:  # 4 bytes repeat the length of the tag before
        end += 15 + int.from_bytes(head[1:4], "big")
    return end


def _asf_end(file: BinaryIO, size: int) -> int:
    """Return the end of the packets; live recordings give them no length. ASF Specification 1.20, section 2."""
    at, guid = 0, b""
    while guid != ASF_DATA and len(head := _read(file, at, 24)) == 24:
        guid, length = struct.unpack("<16sQ", head)
        at += max(24, length)
    return at


def _ogg_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last page; each stream's last one says so. RFC 3533, section 6."""
    at, ended = 0, dict[bytes, bool]()
    while len(head := _read(file, at, 27)) > 0:
        if len(head) < 27:
            return at + 27
        if head[:4] != b"OggS":
            raise BadSample(f"the video is damaged: no Ogg page begins at byte {at:,}")
        ended[head[14:18]] = bool(head[5] & 4)
        at += 27 + head[26] + sum(_read(file, at + 27, head[26]))
    if not all(ended.values()):
        raise BadSample("the video is cut off: the last Ogg page of a stream is missing")
    return at


def _mpegts_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last packet. ISO/IEC 13818-1, section 2.4.3."""
    first, step = mpegts_grid(_read(file, 0, 4096)) or (0, 188)
    over = (size - first) % step
    return size - over + 188 if 0 < over < 188 else size


def _gif_end(file: BinaryIO, size: int) -> int:
    """Return the end of the trailer, or of the block that is not whole. GIF89a specification, sections 17 to 27."""
    flags = _read(file, 10, 1)
    at = 13 + _colours_bytes(flags)
    while (kind := _read(file, at, 1)) not in (b"", b"\x3b"):
        if kind == b"\x2c":  # a picture: its place, its colours, the least code size
            at += 11 + _colours_bytes(_read(file, at + 9, 1))
        elif kind == b"\x21":  # an extension and its kind
            at += 2
        else:
            raise BadSample(f"the video is damaged: no block of a GIF begins at byte {at:,}")
        while length := _read(file, at, 1)[:1].strip(b"\0"):
            at += 1 + length[0]
        at += 1
    return at + 1


def _colours_bytes(flags: bytes) -> int:
    return 3 << (flags[0] % 8 + 1) if flags and flags[0] & 0x80 else 0


def _read(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(min(at, 1 << 40))  # lengths in a file may be larger than what can be sought to
    return file.read(length)


_ENDS: dict[str, Callable[[BinaryIO, int], int]] = {
    "avi": _avi_end,
    "matroska": _matroska_end,
    "mov": _mov_end,
    "flv": _flv_end,
    "asf": _asf_end,
    "ogg": _ogg_end,
    "mpegts": _mpegts_end,
    "gif": _gif_end,
}
