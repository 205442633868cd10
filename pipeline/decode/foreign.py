"""Images and videos that are read as they came: what their headers and packets say, without decoding them."""

import io
from pathlib import Path

from pipeline.decode.image_header import check_structure
from pipeline.decode.limits import MAX_IMAGE_BYTES, MAX_VIDEO_BYTES, BadSample, check_bytes
from pipeline.decode.probe import Kind, Probe, frame_rate, open_video, probe_file, video_stream
from pipeline.decode.transcode import packets
from pipeline.decode.video import count_frames


def probe_foreign(data: bytes, kind: Kind) -> Probe:
    """The size of an image; of a video, its frames are counted.

    Raises `BadSample` for what is broken as far as that shows, and for videos that decord would read wrongly, as
    `check_video` does.
    """
    if kind == "image":
        check_structure(data)
        return probe_file(io.BytesIO(data), "image")
    check_bytes(len(data), MAX_VIDEO_BYTES)
    with open_video(io.BytesIO(data)) as container:
        stream = video_stream(container)
        shown = [packet for packet in packets(container, stream, for_decord=True) if packet.size]
        if shown and not shown[0].is_keyframe:
            raise BadSample("the video does not start with a key frame, so its first frames cannot be decoded")
        frames = sum(not packet.is_discard for packet in shown)
        rate = float(frame_rate(stream))
        width, height = stream.codec_context.width, stream.codec_context.height
    if frames == 0:
        raise BadSample("the video has no frame")
    if count_frames(data) != frames:
        raise BadSample("decord counts other frames than there are")
    return Probe(width, height, frames, rate, frames / rate, len(data))


def probe_member(path: Path, offset: int, length: int, kind: Kind) -> Probe:
    """The same of the bytes of a tar's member."""
    check_bytes(length, MAX_IMAGE_BYTES if kind == "image" else MAX_VIDEO_BYTES)
    with path.open("rb") as file:
        file.seek(offset)
        return probe_foreign(file.read(length), kind)
