"""Images and videos that are read as they came: adopted tars, and `shard.video.transcode: false`.

Training reads videos by decord, which is exact for some kinds only: 0 wrong frames in 24 random orders for those in
`EXACT`, up to all of them for others.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import av.container
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.decode.container import NAMES, demuxer_of, frame_rate, open_video, video_stream
from pipeline.decode.decoding import decoded_frames, packets
from pipeline.decode.image_header import check_structure
from pipeline.decode.limits import MAX_IMAGE_BYTES, MAX_VIDEO_BYTES, BadSample, check_bytes
from pipeline.decode.members import MEMBERS, OBJECTS, content_of, naming
from pipeline.decode.objects import count_objects
from pipeline.decode.probe import Kind, Probe, probe_file
from pipeline.decode.transcode import Transcoded
from pipeline.decode.upright import AS_STORED, display_matrix, is_mirrored, upright
from pipeline.decode.values import Values
from pipeline.decode.video import count_frames, decode_frames
from pipeline.decode.whole import check_whole

EXACT = {
    "mov": {
        "h263",
        "h264",
        "hevc",
        "mpeg4",
        "vp9",
        "mjpeg",
        "mpeg1video",
        "mpeg2video",
        "prores",
        "dnxhd",
        "png",
        "qtrle",
    },
    "matroska": {"h264", "hevc", "mpeg4", "vp8", "vp9", "mjpeg", "mpeg1video", "mpeg2video", "prores", "ffv1"},
    "avi": {
        "mpeg4",
        "msmpeg4v3",
        "mjpeg",
        "vp8",
        "vp9",
        "ffv1",
        "huffyuv",
        "ffvhuff",
        "utvideo",
        "png",
        "rawvideo",
        "dvvideo",
    },
}
"""FFmpeg's names of the codecs that decord reads frame by frame, by demuxer."""
WAY_OUT = "set shard.video.transcode: true (videos in tars: encode them as H.264 in MP4, or use kind: folder or table)"
AVI_OF_A_PIPE = b"LIST\xff\xff\xff\xffmovi"
"""Frames without an end: decord 0.6 seeks there, behind the file, and dies."""
COMPARED = 8
"""How many frames are compared with PyAV's."""
COMPARED_PIXELS = 8 * 1920 * 1088
"""How many pixels at most, where the frames are large."""
MAX_DIFFERENCE = 6.0
"""Mean absolute difference of two decoders' colours, 0 to 255: it is 0 for 8 bits and up to 3 for 10."""


def probe_foreign(data: bytes, kind: Kind) -> Probe:
    """Probe the size of an image; of a video, its packets are counted, and its first frames are compared with PyAV's.

    Raises `BadSample` for what is broken as far as that shows, and for videos that decord would read wrongly.
    """
    if kind == "image":
        check_structure(data)
        return probe_file(io.BytesIO(data), "image")
    found = _probe_packets(data)
    with open_video(io.BytesIO(data)) as container:
        frames = islice(decoded_frames(container, video_stream(container), whole=False), COMPARED)
        width, height, _ = _check_pictures(data, container, frames, range(COMPARED))
    return replace(found, width=width, height=height)


def probe_member(
    path: Path,
    offset: int,
    length: int,
    kind: Kind,
    companions: Mapping[str, tuple[int, int]],
    values: Values | None = None,
    maps: bool = False,
) -> Probe:
    """Probe the bytes of a tar's member, as `probe_foreign` does, and those of its companions, name -> offset, length.

    Of a companion, the header is looked at, and that it is whole; with `values`, these are counted. With `maps`, the
    objects are those of an instance map.
    """
    check_bytes(length, MAX_IMAGE_BYTES if kind == "image" else MAX_VIDEO_BYTES)
    with path.open("rb") as file:
        file.seek(offset)
        found = probe_foreign(file.read(length), kind)
        contents: dict[str, bytes] = {}
        for name, (begin, size) in companions.items():
            with naming(name):
                check_bytes(size, MAX_IMAGE_BYTES)
                file.seek(begin)
                content = contents[name] = file.read(size)
                check_structure(content)
                member = MEMBERS[name]
                member.probe(io.BytesIO(content), found.width, found.height, values)
                if values is not None and member.count is not None:
                    found = replace(found, values=member.count(content, values))
    if maps and values is not None:
        found = replace(found, values=count_objects(content_of(OBJECTS, contents), values))
    return found


def check_video(data: bytes) -> Transcoded:
    """Decode every frame of a video that is stored as it is, strictly; returns it with its counted numbers.

    Raises `BadSample` for a broken one, and for those that decord would read wrongly, as `probe_foreign` does; the
    frames that are compared lie all over the video, in pairs, of which one may be taken for the other.
    """
    found = _probe_packets(data)
    compared = [i + one for i in np.linspace(0, found.frames - 2, COMPARED // 2).astype(int) for one in (0, 1)]
    with open_video(io.BytesIO(data)) as container:
        frames = decoded_frames(container, video_stream(container))
        width, height, count = _check_pictures(data, container, frames, compared)
        if count != found.frames:
            raise _unfit(container, f"{count} frames can be decoded of {found.frames}")
    return Transcoded(data, width, height, count, found.fps, found.duration_s)


def _probe_packets(data: bytes) -> Probe:
    """Probe by packets alone; width and height are as coded. BadSample for kinds that decord does not read exactly."""
    check_bytes(len(data), MAX_VIDEO_BYTES)
    with open_video(io.BytesIO(data)) as container:
        stream = video_stream(container)
        demuxer, codec = demuxer_of(container), stream.codec_context.codec.canonical_name
        if codec not in EXACT.get(demuxer, ()):
            raise _unfit(container)
        check_whole(io.BytesIO(data), demuxer)
        frames = _check_packets(container, stream)
        if demuxer == "mov" and len(stream.index_entries) > stream.frames:
            raise _unfit(container, "it is fragmented, and decord reads other frames of it")
        if demuxer == "avi" and AVI_OF_A_PIPE in data:
            raise _unfit(container, "it was written to a pipe, and decord reads behind its end")
        try:
            counted = count_frames(data)
        except BadSample:  # Matroska without a duration
            raise _unfit(container, "decord cannot open it") from None
        if counted != frames:
            raise _unfit(container, f"decord counts {counted} frames of {frames}")
        rate = float(frame_rate(stream))
        size = stream.codec_context.width, stream.codec_context.height
    return Probe(*size, frames, rate, frames / rate, len(data))


def _unfit(container: av.container.InputContainer, why: str = "") -> BadSample:
    """Return the refusal of a video that decord would read wrongly, by codec and container, with the way out."""
    codec = video_stream(container).codec_context.codec.canonical_name
    kind = f"{codec.upper()} in {NAMES[demuxer_of(container)]}"
    return BadSample(f"{kind} cannot be read frame by frame as it is{why and f': {why}'}; {WAY_OUT}")


def _check_packets(container: av.container.InputContainer, stream: VideoStream) -> int:
    """Count the frames that the packets show. BadSample for orders in which decord returns other frames.

    AVI keeps no times of display, so that decoding and display must have one order (no B-frames).
    """
    ordered = demuxer_of(container) == "avi"
    key_pts, seen, frames = 0, set[int](), 0
    for packet in packets(container, stream):
        if not packet.size:
            continue
        if packet.pts is None or packet.pts in seen or (ordered and packet.pts != packet.dts):
            raise _unfit(container, "its frames have no times of their own or B-frames without them")
        if not seen and not packet.is_keyframe:
            raise _unfit(container, "it does not start with a key frame")
        if not packet.is_keyframe and packet.pts < key_pts:
            raise _unfit(container, "it has open GOPs, and decord reads other frames of them")
        key_pts = packet.pts if packet.is_keyframe else key_pts
        seen.add(packet.pts)
        frames += not packet.is_discard
    if not frames:
        raise BadSample("the video has no frame")
    return frames


def _check_pictures(
    data: bytes, container: av.container.InputContainer, frames: Iterator[VideoFrame], compared: Sequence[int]
) -> tuple[int, int, int]:
    """Return (width, height) as decord gives them and how many `frames` there were. BadSample where decord's are not
    these.

    Of `compared`, as many are looked at as fit in memory, in an order of no pattern.
    """
    first, count, ours = None, -1, {}
    for count, frame in enumerate(frames):
        matrix = display_matrix(frame)
        if is_mirrored(matrix) or (matrix != AS_STORED and demuxer_of(container) != "mov"):
            raise _unfit(container, "decord does not show its frames upright")
        first = first or frame
        if (frame.width, frame.height) != (first.width, first.height):
            raise _unfit(container, "the size of its frames changes")
        if count in compared[:: 1 + COMPARED * frame.width * frame.height // COMPARED_PIXELS]:
            ours[count] = _small(upright(frame, matrix))
    if first is None:
        raise BadSample("the video has no frame that can be decoded")
    order = np.random.Generator(np.random.Philox(0)).permutation(sorted(ours))
    theirs = decode_frames(data, order)
    for i, picture in zip(order.tolist(), map(_small, theirs), strict=True):
        apart = {j: _apart(picture, one) for j, one in ours.items()}
        if apart[i] > min(MAX_DIFFERENCE, min(apart.values()) + 1):
            raise _unfit(container, f"decord gives another picture for frame {i}")
    return theirs.shape[2], theirs.shape[1], count + 1


def _small(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Return a grid of some 64 x 64 of its pixels."""
    height, width, _ = picture.shape
    return picture[:: 1 + height // 64, :: 1 + width // 64].astype(np.int16)


def _apart(one: npt.NDArray[np.int16], other: npt.NDArray[np.int16]) -> float:
    return float(np.abs(one - other).mean()) if one.shape == other.shape else np.inf
