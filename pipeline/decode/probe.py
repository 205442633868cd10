"""What a file's header says, read without decoding: the cheap check of the ingest stage."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from pipeline.base.bands import RGB, Bands
from pipeline.decode import limits
from pipeline.decode.arrays import array_size
from pipeline.decode.container import frame_rate, has_frame_behind, open_video, promised_length, video_stream
from pipeline.decode.image_header import open_image, upright_size
from pipeline.decode.limits import (
    ARRAY_EXTENSIONS,
    CONVERT,
    IMAGE_EXTENSIONS,
    MAX_IMAGE_BYTES,
    MAX_VIDEO_BYTES,
    VIDEO_EXTENSIONS,
    BadSample,
    check_bytes,
    check_length,
)

Kind = Literal["image", "video"]


@dataclass(frozen=True)
class Probe:
    """A header's word. Images have `frames` 1, `fps` 0 and `duration_s` 0; a video's `frames` may be an estimate.

    Width and height are upright for images (their orientation applied), as coded for videos (a rotation shows only in
    the first decoded frame).

    values: of its mask, the pixels of each value
    """

    width: int
    height: int
    frames: int
    fps: float
    duration_s: float
    bytes: int
    values: Mapping[int, int] = field(default_factory=dict)


def probe(path: Path, kind: Kind) -> Probe:
    """Read the header of an image or a video. Raises `BadSample` with the reason when the file cannot be a sample."""
    check_suffix(path.suffix.lower(), kind)
    with open_file(path) as file:
        return probe_file(file, kind)


def check_suffix(suffix: str, kind: Kind, bands: Bands = RGB) -> None:
    """Raise `BadSample` for an extension, with its dot, that is not allowed."""
    allowed = VIDEO_EXTENSIONS if kind == "video" else IMAGE_EXTENSIONS if bands.as_files else ARRAY_EXTENSIONS
    if suffix not in allowed:
        if suffix in CONVERT:
            raise BadSample(CONVERT[suffix])
        raise BadSample(f"its extension {suffix!r} is not one of {', '.join(sorted(allowed))}")


def probe_file(file: BinaryIO, kind: Kind, whole: bool = True, bands: Bands = RGB) -> Probe:
    """Probe an open file. Not `whole`: only a segment of the video is wanted, it may be longer than a sample.

    bands: what the pictures of the data set are
    """
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    return _probe_image(file, size_bytes, bands) if kind == "image" else _probe_video(file, size_bytes, whole)


def open_file(path: Path) -> BinaryIO:
    """Open a source for reading. Raises `BadSample` where the system refuses."""
    try:
        return path.open("rb")
    except PermissionError as error:
        raise BadSample("no permission to read the file") from error
    except OSError as error:
        raise BadSample(f"the file cannot be opened: {error.strerror}") from error


def _probe_image(file: BinaryIO, size_bytes: int, bands: Bands) -> Probe:
    check_bytes(size_bytes, MAX_IMAGE_BYTES)
    if bands.as_files:
        with open_image(file) as image:
            width, height = upright_size(image)
    else:
        width, height = array_size(file, bands)
    return Probe(width, height, frames=1, fps=0.0, duration_s=0.0, bytes=size_bytes)


def _probe_video(file: BinaryIO, size_bytes: int, whole: bool) -> Probe:
    check_bytes(size_bytes, MAX_VIDEO_BYTES)
    with open_video(file) as container:
        stream = video_stream(container)
        fps = float(frame_rate(stream))
        frames, duration_s = promised_length(container, stream)
        if whole:
            longest_s = (container.duration or 0) / 1_000_000  # of all streams
            is_long = longest_s > limits.MAX_VIDEO_DURATION_S
            if is_long and not has_frame_behind(container, stream, limits.MAX_VIDEO_DURATION_S):
                longest_s = 0.0
            check_length(frames, longest_s)
        context = stream.codec_context
        return Probe(context.width, context.height, frames or round(duration_s * fps), fps, duration_s, size_bytes)
