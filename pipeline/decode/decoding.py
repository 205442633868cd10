"""Every frame of a video, strictly: where FFmpeg would make up for damage, the video is refused."""

import re
from collections.abc import Iterator

import av
import av.container
import av.error
import av.logging
import av.packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.base.alive import alive
from pipeline.decode.container import demuxer_of
from pipeline.decode.limits import MAX_VIDEO_PIXELS, BadSample, check_length, check_pixels

MADE_UP = ("concealing", "ignoring overflow", "LZW decode failed")
"""How FFmpeg's messages begin when it fills the missing parts of a picture in, strict or not."""
ABSENT = frozenset({"mmco: unref short failure", "co located POCs unavailable"})
"""H.264's messages of pictures before the file's first one, on which none depends that is shown."""
COUNTED = ("mov", "avi")
"""Formats whose index tells of every packet."""
H264_IDR = 5


def decoded_frames(
    container: av.container.InputContainer, stream: VideoStream, whole: bool = True
) -> Iterator[VideoFrame]:
    """Yield every frame of the stream in order of display, one thread. Raises `BadSample` at the first fault or cap.

    Not `whole`: from where the container was sought to; length and completeness are then not looked at.
    """
    context = stream.codec_context
    frames, keys, starts_amidst = 0, 0, False
    try:
        for packet in packets(container, stream, whole):
            keys += packet.is_keyframe
            if stream.codec_context.name == "hevc" and not keys and packet.size:
                continue  # it shows nothing before the first key frame, but takes what is missing there for damage
            if not context.is_open:
                starts_amidst = context.name == "h264" and H264_IDR not in _nal_types(packet, context.extradata)
                context.thread_count = 1
                # an error, where FFmpeg would hide damage with repeated frames
                context.options = {} if starts_amidst else {"err_detect": "explode"}
            decoded, messages = _decode(packet)
            for level, text in messages:
                if text.startswith(MADE_UP) or (
                    starts_amidst and level <= av.logging.ERROR and (keys > 1 or text not in ABSENT)
                ):
                    raise BadSample(f"the video is damaged after {frames} frames: {text}")
            for frame in decoded:
                frames += 1
                alive()
                check_pixels(frame.width, frame.height, MAX_VIDEO_PIXELS)
                if whole:
                    check_length(frames, 0.0)
                yield frame
    except av.error.FFmpegError as error:
        raise BadSample(f"the video is broken after {frames} frames: {error.strerror}") from error


def packets(
    container: av.container.InputContainer, stream: VideoStream, whole: bool = True
) -> Iterator[av.packet.Packet]:
    """Yield the stream's packets, the empty one that ends it too. Raises `BadSample` as `decoded_frames`, which see."""
    count, start_s = 0, None
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise BadSample(f"the video is cut off or damaged after {count} frames")
        count += packet.size > 0
        if whole and packet.pts is not None:
            time_s = float(packet.pts * packet.time_base)
            start_s = time_s if start_s is None else start_s
            check_length(count, time_s - start_s)
        yield packet
    if whole and demuxer_of(container) in COUNTED and count < len(stream.index_entries):
        raise BadSample(f"the video is cut off: {count} of {len(stream.index_entries)} frames are there")


def _decode(packet: av.packet.Packet) -> tuple[list[VideoFrame], list[tuple[int, str]]]:
    """Decode a packet's frames, and (level, text) of what FFmpeg has to say of them."""
    level, skip = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.INFO)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture(local=True) as logged:
            frames = packet.decode()
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skip)
    return [frame for frame in frames if isinstance(frame, VideoFrame)], [(one[0], one[2].strip()) for one in logged]


def _nal_types(packet: av.packet.Packet, extradata: bytes | None) -> set[int]:
    """Return the types of the NAL units in a packet of H.264: behind start codes, or with their
    length before each (avcC).
    """
    data, types = bytes(packet), set()
    if not extradata or extradata[0] != 1 or len(extradata) < 5:
        return {data[found.end()] & 31 for found in re.finditer(rb"\x00\x00\x01(?=.)", data, re.DOTALL)}
    length_bytes, at = extradata[4] % 4 + 1, 0
    while at + length_bytes < len(data):
        types.add(data[at + length_bytes] & 31)
        at += length_bytes + int.from_bytes(data[at : at + length_bytes], "big")
    return types
