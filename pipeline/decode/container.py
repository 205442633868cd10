"""A video's container: which demuxer reads it, which of its streams is the video, and what its header promises."""

from contextlib import suppress
from fractions import Fraction
from typing import BinaryIO

import av
import av.container
import av.error
import av.stream
from av.video.stream import VideoStream

from pipeline.decode.limits import MAX_VIDEO_PIXELS, BadSample, check_pixels

DEFAULT_FPS = Fraction(25)
NAMES = {
    "mov": "MP4",
    "avi": "AVI",
    "matroska": "Matroska",
    "flv": "FLV",
    "asf": "WMV",
    "ogg": "Ogg",
    "gif": "GIF",
    "mpegts": "MPEG-TS",
    "mpeg": "MPEG-PS",
    "mpegvideo": "MPEG video",
}
"""What people call the formats that FFmpeg's demuxers read."""
PROMISING = ("mov", "matroska", "avi")
"""Formats whose headers tell a length. That of the others is FFmpeg's estimate, some of which are half of the truth."""
_BEGINNINGS = {
    b"\x1a\x45\xdf\xa3": "matroska",
    b"FLV\x01": "flv",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "asf",
    b"OggS": "ogg",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"\x00\x00\x01\xba": "mpeg",
    b"\x00\x00\x01\xb3": "mpegvideo",
}


def open_video(file: BinaryIO) -> av.container.InputContainer:
    """Open a video with the demuxer that its first bytes call for. Raises `BadSample`.

    FFmpeg is not left to guess: among its guesses are playlists, which are text and may name other files and hosts.
    """
    file.seek(0)
    demuxer = _demuxer(file.read(4096))
    file.seek(0)
    if demuxer is None:
        raise BadSample("its content is no MP4, MOV, AVI, MKV, WebM, FLV, WMV, Ogg, GIF or MPEG video")
    try:
        container = av.open(file, "r", format=demuxer, metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError) as error:
        raise BadSample("the video cannot be opened: its header is broken or the file is cut off") from error
    return container


def demuxer_of(container: av.container.InputContainer) -> str:
    """Return the key of `NAMES` that a container was opened with: FFmpeg's names are lists, such as mov,mp4,m4a."""
    return container.format.name.partition(",")[0]


def video_stream(container: av.container.InputContainer) -> VideoStream:
    """Return the first stream that is a video and no cover picture. Raises `BadSample` where there is none."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            # FFmpeg leaves the context without a format when it knows no decoder for the stream
            if stream.codec_context is None or not stream.codec_context.is_decoder:
                raise BadSample("its video codec is unknown")
            check_pixels(stream.codec_context.width, stream.codec_context.height, MAX_VIDEO_PIXELS)
            return stream
    raise BadSample("it has no video stream")


def frame_rate(stream: VideoStream) -> Fraction:
    """Return frames a second: the average, else FFmpeg's guess, else 25 for a header that gives nothing usable."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate is not None and Fraction(1, 100) <= rate <= 1000:
            return Fraction(rate).limit_denominator(65_535)
    return DEFAULT_FPS


def promised_length(container: av.container.InputContainer, stream: VideoStream) -> tuple[int, float]:
    """Return (frames, seconds) that the header promises; 0 where it promises none.

    The seconds may be those of the sound. An AVI that was written to a pipe says 2^30 frames: it is not believed where
    even empty frames, of eight bytes each, would not fit in the file.
    """
    demuxer = demuxer_of(container)
    if demuxer not in PROMISING or (demuxer == "avi" and 8 * stream.frames > container.size):
        return 0, 0.0
    if stream.duration is not None and stream.time_base is not None:
        return stream.frames, float(stream.duration * stream.time_base)
    return stream.frames, (container.duration or 0) / 1_000_000  # container.duration is in microseconds


def has_frame_behind(container: av.container.InputContainer, stream: VideoStream, time_s: float) -> bool:
    """Tell whether the stream has a frame after `time_s` seconds, counted from its start. Moves the container.

    Only the video's own frames tell how long it is: sound or a subtitle may be what makes the file longer.
    """
    assert stream.time_base is not None
    behind = (stream.start_time or 0) + int(time_s / stream.time_base)
    with suppress(av.error.FFmpegError):
        container.seek(behind, stream=stream)
        return any(packet.pts is not None and packet.pts > behind for packet in container.demux(stream))
    return False


def _demuxer(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}:
        return "mov"
    for beginning, demuxer in _BEGINNINGS.items():
        if head.startswith(beginning):
            return demuxer
    return "mpegts" if mpegts_grid(head) else None


def mpegts_grid(head: bytes) -> tuple[int, int] | None:
    """Return (first, step) of an MPEG-TS, whose every packet begins with a sync byte.

    A recording may begin within one.
    """
    for step in (188, 192, 204):  # plain, with a time before each (M2TS), with a checksum behind
        for first in range(step):
            if len(head) > 2 * step and set(head[first::step]) == {0x47}:
                return first, step
    return None
