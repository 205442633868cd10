"""Videos as they are stored: small, H.264, quick to decode from any frame, and frame i is the source's frame i."""

import io
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import av
import av.container
import av.error
import av.packet
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from pipeline.decode.limits import (
    MAX_VIDEO_BYTES,
    MAX_VIDEO_PIXELS,
    BadSample,
    check_bytes,
    check_length,
    check_pixels,
)
from pipeline.decode.probe import duration, frame_rate, open_file, open_video, video_stream
from pipeline.decode.video import count_frames


@dataclass(frozen=True)
class Transcoded:
    """A video ready to be stored; the numbers are those of `data`, counted, not promised by a header."""

    data: bytes
    width: int
    height: int
    frames: int
    fps: float
    duration_s: float


def transcode(
    source: Path | bytes,
    short_side: int,
    gop: int,
    crf: int,
    cut: Callable[[av.container.InputContainer, VideoStream], Iterator[VideoFrame]] | None = None,
) -> Transcoded:
    """Decode every frame of a video strictly and store it as MP4 with `short_side` px (never enlarged, sizes even).

    H.264 with closed GOPs of `gop` frames and x264's `fastdecode` tuning, yuv420p, no audio, index first. Frames are
    kept one to one at the header's average rate, so a variable frame rate becomes a constant one. Rotation metadata is
    applied. One thread, so equal sources give equal bytes. Raises `BadSample` for a video that is broken or cut off.
    `cut` decodes a part of the frames in place of all of them, see `pipeline.decode.cut`.
    """
    with _open(source) as file, open_video(file) as container:
        stream = video_stream(container)
        decoded = (cut or decoded_frames)(container, stream)
        first = next(decoded, None)
        if first is None:
            raise BadSample("the video has no frame that can be decoded")
        rate = frame_rate(stream)
        quarter_turns = first.rotation // 90 % 4
        width, height = fitted(first.width, first.height, short_side)
        upright = _upright(chain([first], decoded), width, height, quarter_turns)
        size = (width, height) if quarter_turns % 2 == 0 else (height, width)
        data, frames = _write(upright, size, rate, gop, crf)
    return Transcoded(data, *size, frames, float(rate), float(frames / rate))


def check_video(data: bytes) -> Transcoded:
    """Decode every frame of a video that is stored as it is, strictly; returns it with its counted numbers.

    Raises `BadSample` for a broken one, and for those that decord would read wrongly: open GOPs and fragmented MP4s, of
    which it returns other frames, and files where it counts other frames than there are.
    """
    with _open(data) as file, open_video(file) as container:
        stream = video_stream(container)
        frames, first = 0, None
        for frame in decoded_frames(container, stream, for_decord=True):
            first = first or frame
            frames += 1
        if first is None:
            raise BadSample("the video has no frame that can be decoded")
        rate = frame_rate(stream)
        if count_frames(data) != frames:
            raise BadSample("decord counts other frames than there are; store it with shard.video.transcode on")
        turned = first.rotation // 90 % 2 == 1  # decord applies the rotation
        width, height = (first.height, first.width) if turned else (first.width, first.height)
        return Transcoded(data, width, height, frames, float(rate), float(frames / rate))


def encode(frames: npt.NDArray[np.uint8], fps: Fraction | int | float, gop: int = 12, crf: int = 18) -> bytes:
    """MP4 bytes of uint8 `[T, H, W, 3]` RGB with even H and W, in the form that `transcode` writes."""
    _, height, width, _ = frames.shape
    if height % 2 or width % 2:
        raise ValueError(f"H.264 in yuv420p needs even sizes, not {width} x {height}")
    pictures = (VideoFrame.from_ndarray(frame, format="rgb24") for frame in frames)
    data, _ = _write(
        _upright(pictures, width, height, 0), (width, height), Fraction(fps).limit_denominator(65_535), gop, crf
    )
    return data


def encode_pictures(
    pictures: Iterator[npt.NDArray[np.uint8]], fps: float, short_side: int, gop: int, crf: int
) -> Transcoded:
    """uint8 `[H, W, 3]` RGB pictures of one size as `transcode` would store them. BadSample when there are none."""
    first = next(pictures, None)
    if first is None:
        raise BadSample("the video has no frame")
    size = fitted(first.shape[1], first.shape[0], short_side)
    rate = Fraction(fps).limit_denominator(65_535)
    frames = (VideoFrame.from_ndarray(picture, format="rgb24") for picture in chain([first], pictures))
    data, count = _write(_upright(frames, *size, 0), size, rate, gop, crf)
    return Transcoded(data, *size, count, float(rate), float(count / rate))


def fitted(width: int, height: int, short_side: int) -> tuple[int, int]:
    """(width, height) with the short side at most `short_side`, both even, neither enlarged. Raises `BadSample`."""
    scale = min(1.0, short_side / min(width, height))
    even_width, even_height = (min(side // 2, round(side * scale / 2)) * 2 for side in (width, height))
    if even_width < 2 or even_height < 2:
        raise BadSample(f"{width} x {height} pixels are too few for a video")
    return even_width, even_height


def decoded_frames(
    container: av.container.InputContainer, stream: VideoStream, for_decord: bool = False, whole: bool = True
) -> Iterator[VideoFrame]:
    """Every frame of the stream in order of display, one thread. Raises `BadSample` at the first fault or cap.

    Not `whole`: from where the container was sought to; length and completeness are then not looked at.
    `for_decord`: refuses open GOPs and fragmented MP4s, too, of which decord returns other frames.
    """
    context = stream.codec_context
    if not context.is_open:
        context.thread_count = 1
    context.options = {"err_detect": "explode"}  # an error, where FFmpeg would hide damage with repeated frames
    frames = 0
    try:
        for packet in packets(container, stream, for_decord, whole):
            for frame in packet.decode():
                frames += 1
                check_pixels(frame.width, frame.height, MAX_VIDEO_PIXELS)
                if whole:
                    check_length(frames, 0.0)
                yield frame
    except av.error.FFmpegError as error:
        raise BadSample(f"the video is broken after {frames} frames: {error.strerror}") from error


def packets(
    container: av.container.InputContainer, stream: VideoStream, for_decord: bool = False, whole: bool = True
) -> Iterator[av.packet.Packet]:
    """The stream's packets, the empty one that ends it too. Raises `BadSample` as `decoded_frames`, which see."""
    count, key_pts, end_s = 0, 0, 0.0
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise BadSample(f"the video is cut off or damaged after {count} frames")
        count += packet.size > 0
        if packet.pts is not None:
            if for_decord and not packet.is_keyframe and packet.pts < key_pts:
                raise BadSample("the video has open GOPs; store it with shard.video.transcode on")
            key_pts = packet.pts if packet.is_keyframe else key_pts
            end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if whole:
            check_length(count, end_s)
        yield packet
    if for_decord and container.format.name.startswith("mov") and count > stream.frames:
        raise BadSample("the MP4 is fragmented; store it with shard.video.transcode on")
    if whole:
        _check_complete(container, stream, count, end_s)


def _check_complete(container: av.container.InputContainer, stream: VideoStream, packets: int, end_s: float) -> None:
    """Raise `BadSample` when a file ends before its header says so: FFmpeg takes a cut file for a shorter one."""
    promised = stream.frames
    if promised and container.format.name.startswith("mov"):
        promised = len(stream.index_entries)  # without those that an edit list leaves out, as trimmed clips have it
    if packets < promised:
        raise BadSample(f"the video is cut off: {packets} of {promised} frames are there")
    promised_s = duration(container, stream)
    # Matroska promises no frames but a duration, which may be the audio's: a little longer than the video
    if not stream.frames and end_s < promised_s - max(1.0, 0.05 * promised_s):
        raise BadSample(f"the video is cut off: {end_s:.1f} of {promised_s:.1f} s are there")


def _open(source: Path | bytes) -> BinaryIO:
    file = open_file(source) if isinstance(source, Path) else io.BytesIO(source)
    check_bytes(file.seek(0, io.SEEK_END), MAX_VIDEO_BYTES)
    file.seek(0)
    return file


def _upright(frames: Iterable[VideoFrame], width: int, height: int, quarter_turns: int) -> Iterator[VideoFrame]:
    """Frames scaled to `width` x `height`, then turned counter-clockwise by quarters, as yuv420p."""
    reformatter = VideoReformatter()  # one for all: it keeps swscale's tables
    for frame in frames:
        pixel_format = "rgb24" if quarter_turns else "yuv420p"
        scaled = reformatter.reformat(
            frame, width, height, pixel_format, interpolation=Interpolation.BICUBIC, threads=1
        )
        if quarter_turns:
            turned = np.ascontiguousarray(np.rot90(scaled.to_ndarray(), quarter_turns), dtype=np.uint8)
            scaled = VideoFrame.from_ndarray(turned, format="rgb24").reformat(format="yuv420p", threads=1)
        yield scaled


def _write(
    frames: Iterable[VideoFrame], size: tuple[int, int], rate: Fraction, gop: int, crf: int
) -> tuple[bytes, int]:
    """Encode yuv420p frames of `size` (width, height); returns the file and how many frames are in it."""
    options = {
        "crf": str(crf),
        "g": str(gop),
        "flags": "+cgop",
        "preset": "veryfast",
        "tune": "fastdecode",
        "bf": "0",
        # Without it 1 to 3 % of flat clips came out with other bytes from call to call.
        "x264-params": "cpu-independent=1",
    }
    # A real file: FFmpeg moves the index to the front by reading its output again
    with tempfile.TemporaryDirectory(prefix="zoetrope-") as folder:
        path = Path(folder) / "video.mp4"
        with av.open(str(path), "w", format="mp4", container_options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=rate, options=options)
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.thread_count = 1
            count = 0
            for frame in frames:
                if count == 0:
                    # Decoders need the tags to turn these pixels into the source's colours
                    context.colorspace, context.color_range = frame.colorspace, frame.color_range
                    context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
                frame.pts, frame.time_base = count, 1 / rate
                frame.pict_type = PictureType.NONE  # else the source's keyframes become keyframes
                container.mux(stream.encode(frame))
                count += 1
            container.mux(stream.encode())
        return path.read_bytes(), count
