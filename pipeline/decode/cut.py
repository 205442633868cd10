"""A segment of a video, exact to the frame.

A frame belongs to the segment from start_s to end_s when start_s <= its time < end_s, both compared with half a
millisecond's tolerance, as tables round their times; a frame's time counts from the first frame's. So segments that
follow each other share no frame and lose none.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import av.container
import av.error
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.decode.container import demuxer_of, frame_rate
from pipeline.decode.decoding import decoded_frames
from pipeline.decode.limits import BadSample, check_length
from pipeline.decode.probe import Probe

TOLERANCE_S = 0.0005
SLACK_S = 1.0
"""By how much a segment may end behind the video's end: tables and headers round."""
SEEK_FROM_S = 2.0
"""Up to there decoding from the start is as quick."""
EARLIER_S = 0.5
SEEKABLE = ("mov", "matroska")
"""Formats, by their demuxers, that keep the exact times of their key frames."""


def is_inside(time_s: float, start_s: float | None, end_s: float | None) -> bool:
    """Tell whether a frame at `time_s` belongs to the segment."""
    return (start_s or 0.0) <= time_s + TOLERANCE_S and not is_behind(time_s, end_s)


def is_behind(time_s: float, end_s: float | None) -> bool:
    """Tell whether a frame at `time_s` lies behind the segment."""
    return end_s is not None and time_s + TOLERANCE_S >= end_s


def probe_segment(video: Probe, start_s: float | None, end_s: float | None) -> Probe:
    """Probe the header of a segment; `frames` is an estimate.

    BadSample when it does not lie in the video, or is too long.
    """
    start_s = start_s or 0.0
    end_s = end_s if end_s is not None else video.duration_s
    if video.duration_s:
        check_inside(start_s, end_s, video.duration_s)
        end_s = min(end_s, video.duration_s)
    length_s = max(0.0, end_s - start_s)
    frames = round(length_s * video.fps)
    check_length(frames, length_s)
    return replace(video, frames=frames, duration_s=length_s)


def check_inside(start_s: float, end_s: float, duration_s: float) -> None:
    """Raise BadSample for a segment that does not lie in its video."""
    if start_s >= duration_s:
        raise BadSample(f"start_s {start_s:g} lies behind the video's end at {duration_s:.3f} s")
    if end_s > duration_s + SLACK_S:
        raise BadSample(f"end_s {end_s:g} lies behind the video's end at {duration_s:.3f} s")


def frames_between(
    container: av.container.InputContainer, stream: VideoStream, start_s: float | None, end_s: float | None
) -> Iterator[VideoFrame]:
    """Yield the frames of a segment in order of display, decoded strictly; decoding starts at the key frame before.

    Raises `BadSample` at the first fault, for a video that ends before the segment does, and for a segment without a
    frame.
    """
    frames = decoded_frames(container, stream, whole=False)
    first = next(frames, None)
    if first is None:
        raise BadSample("the video has no frame that can be decoded")
    rate = float(frame_rate(stream))
    zero_s = first.time
    frames = chain([first], frames)
    wanted_s = start_s or 0.0
    if zero_s is not None and wanted_s > SEEK_FROM_S and demuxer_of(container) in SEEKABLE:
        frames = _from_key_frame(container, stream, zero_s, wanted_s) or _again(container, stream)
    count, last_s = 0, 0.0
    for i, frame in enumerate(frames):
        # Formats without times, such as raw streams in AVI, have a constant rate and are never sought in.
        last_s = frame.time - zero_s if zero_s is not None and frame.time is not None else i / rate
        if is_behind(last_s, end_s):
            break
        if is_inside(last_s, start_s, end_s):
            count += 1
            check_length(count, last_s - wanted_s)
            yield frame
    else:
        check_inside(wanted_s, end_s if end_s is not None else 0.0, last_s + 1 / rate)
    if count == 0:
        raise BadSample(
            f"no frame lies between {wanted_s:g} s and {f'{end_s:g} s' if end_s is not None else 'the end'}"
        )


def _from_key_frame(
    container: av.container.InputContainer, stream: VideoStream, zero_s: float, wanted_s: float
) -> Iterator[VideoFrame] | None:
    """Yield frames from the last key frame before `wanted_s` on; None where the file leads elsewhere.

    Such is H.264 with open GOPs: a strict decoder takes a start in their midst for damage.
    """
    assert stream.time_base is not None
    try:
        # Indices go by decoding times, which are a few frames before those of display.
        container.seek(int((zero_s + wanted_s - EARLIER_S) / stream.time_base), stream=stream)
        frames = decoded_frames(container, stream, whole=False)
        first = next(frames, None)
    except (av.error.FFmpegError, BadSample):
        return None
    if first is None or first.time is None or first.time - zero_s > wanted_s:
        return None
    return chain([first], frames)


def _again(container: av.container.InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    container.seek(0)
    return decoded_frames(container, stream, whole=False)
