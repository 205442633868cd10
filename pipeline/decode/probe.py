"""What a file's header says, read without decoding: the cheap check of the ingest stage."""

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Literal

import av
import av.container
import av.error
import av.stream
from av.video.stream import VideoStream
from PIL import Image, UnidentifiedImageError

from pipeline.decode.limits import (
    CONVERT,
    IMAGE_EXTENSIONS,
    MAX_IMAGE_BYTES,
    MAX_IMAGE_PIXELS,
    MAX_VIDEO_BYTES,
    MAX_VIDEO_PIXELS,
    VIDEO_EXTENSIONS,
    BadSample,
    check_bytes,
    check_length,
    check_pixels,
)

Kind = Literal["image", "video"]
EXIF_ORIENTATION = 0x0112
DEFAULT_FPS = Fraction(25)


@dataclass(frozen=True)
class Probe:
    """A header's word. Images have `frames` 1, `fps` 0 and `duration_s` 0; a video's `frames` may be an estimate.

    Width and height are upright for images (EXIF orientation applied), as coded for videos (a rotation shows only in
    the first decoded frame).
    """

    width: int
    height: int
    frames: int
    fps: float
    duration_s: float
    bytes: int


def probe(path: Path, kind: Kind) -> Probe:
    """Read the header of an image or a video. Raises `BadSample` with the reason when the file cannot be a sample."""
    check_suffix(path.suffix.lower(), kind)
    with open_file(path) as file:
        return probe_file(file, kind)


def check_suffix(suffix: str, kind: Kind) -> None:
    """Raise `BadSample` for an extension, with its dot, that is not allowed."""
    allowed = IMAGE_EXTENSIONS if kind == "image" else VIDEO_EXTENSIONS
    if suffix not in allowed:
        if suffix in CONVERT:
            raise BadSample(CONVERT[suffix])
        raise BadSample(f"its extension {suffix!r} is not one of {', '.join(sorted(allowed))}")


def probe_file(file: BinaryIO, kind: Kind, whole: bool = True) -> Probe:
    """`probe` of an open file. Not `whole`: only a segment of the video is wanted, it may be longer than a sample."""
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    return _probe_image(file, size_bytes) if kind == "image" else _probe_video(file, size_bytes, whole)


def open_file(path: Path) -> BinaryIO:
    """Open a source for reading. Raises `BadSample` where the system refuses."""
    try:
        return path.open("rb")
    except PermissionError as error:
        raise BadSample("no permission to read the file") from error
    except OSError as error:
        raise BadSample(f"the file cannot be opened: {error.strerror}") from error


def open_image(file: BinaryIO) -> Image.Image:
    """Read an image's header and check its size in pixels; `.load()` decodes. Raises `BadSample`."""
    try:
        image = Image.open(file, formats=["JPEG", "PNG", "WEBP", "BMP"])
    except UnidentifiedImageError as error:
        raise BadSample("its content is no JPEG, PNG, WebP or BMP image") from error
    except Image.DecompressionBombError as error:
        raise BadSample(f"it has more than the {MAX_IMAGE_PIXELS:,} pixels allowed") from error
    except Exception as error:  # Pillow's readers raise whatever a broken header makes them
        raise BadSample(f"its header is broken: {error}") from error
    check_pixels(image.width, image.height, MAX_IMAGE_PIXELS)
    return image


def orientation(image: Image.Image) -> int:
    """The EXIF orientation 1 to 8; 1 (upright) where there is none or a broken one."""
    try:
        value = image.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:  # a broken EXIF block is no reason to lose the picture
        return 1
    return value if value in range(1, 9) else 1


def open_video(file: BinaryIO) -> av.container.InputContainer:
    """Open a video with the demuxer that its first bytes call for. Raises `BadSample`.

    FFmpeg is not left to guess: among its guesses are playlists, which are text and may name other files and hosts.
    """
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(4096)
    file.seek(0)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        demuxer = "avi"
    elif head[:4] == b"\x1a\x45\xdf\xa3":
        demuxer = "matroska"
        if (promised_bytes := _matroska_end(head)) > size_bytes:
            raise BadSample(f"the video is cut off: {size_bytes:,} of {promised_bytes:,} bytes are there")
    elif head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}:
        demuxer = "mov"
    else:
        raise BadSample("its content is no MP4, MOV, AVI, MKV or WebM video")
    try:
        container = av.open(file, "r", format=demuxer, metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError) as error:
        raise BadSample("the video cannot be opened: its header is broken or the file is cut off") from error
    return container


def video_stream(container: av.container.InputContainer) -> VideoStream:
    """The first stream that is a video and no cover picture. Raises `BadSample` where there is none."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            # FFmpeg leaves the context without a format when it knows no decoder for the stream
            if stream.codec_context is None or not stream.codec_context.is_decoder:
                raise BadSample("its video codec is unknown")
            check_pixels(stream.codec_context.width, stream.codec_context.height, MAX_VIDEO_PIXELS)
            return stream
    raise BadSample("it has no video stream")


def frame_rate(stream: VideoStream) -> Fraction:
    """Frames a second: the average, else FFmpeg's guess, else 25 for a header that gives nothing usable."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate is not None and Fraction(1, 100) <= rate <= 1000:
            return Fraction(rate).limit_denominator(65_535)
    return DEFAULT_FPS


def duration(container: av.container.InputContainer, stream: VideoStream) -> float:
    """Seconds that the header promises; 0.0 where it promises none."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / 1_000_000  # container.duration is in microseconds


def _matroska_end(head: bytes) -> int:
    """Where the Segment of a Matroska or WebM file ends, in bytes; 0 when the header leaves it open (a live recording).

    FFmpeg takes a cut Matroska file for a shorter one. RFC 8794 (EBML), sections 4 and 5.
    """
    ebml_size, at = _ebml_size(head, 4)
    at += ebml_size
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        return 0
    segment_size, at = _ebml_size(head, at + 4)
    return at + segment_size if segment_size else 0


def _ebml_size(data: bytes, at: int) -> tuple[int, int]:
    """(value, position behind it) of an element's size. Its leading zero bits give its length; all ones: unknown, 0."""
    if at >= len(data) or data[at] == 0:
        return 0, at
    length = 9 - data[at].bit_length()
    ones = (1 << 7 * length) - 1
    value = int.from_bytes(data[at : at + length], "big") & ones
    return (0 if value == ones else value), at + length


def _probe_image(file: BinaryIO, size_bytes: int) -> Probe:
    check_bytes(size_bytes, MAX_IMAGE_BYTES)
    with open_image(file) as image:
        width, height = image.size if orientation(image) < 5 else image.size[::-1]
    return Probe(width, height, frames=1, fps=0.0, duration_s=0.0, bytes=size_bytes)


def _probe_video(file: BinaryIO, size_bytes: int, whole: bool) -> Probe:
    check_bytes(size_bytes, MAX_VIDEO_BYTES)
    with open_video(file) as container:
        stream = video_stream(container)
        fps = float(frame_rate(stream))
        duration_s = duration(container, stream)
        frames = stream.frames or round(duration_s * fps)
        if whole:
            check_length(frames, duration_s)
        context = stream.codec_context
        return Probe(context.width, context.height, frames, fps, duration_s, size_bytes)
