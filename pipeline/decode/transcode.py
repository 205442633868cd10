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
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from pipeline.decode.container import demuxer_of, frame_rate, open_video, video_stream
from pipeline.decode.decoding import decoded_frames
from pipeline.decode.limits import MAX_VIDEO_BYTES, BadSample, check_bytes
from pipeline.decode.probe import open_file
from pipeline.decode.upright import AS_STORED, Matrix, display_matrix, upright
from pipeline.decode.whole import check_whole


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
    kept one to one at the header's average rate, so a variable frame rate becomes a constant one. Turns and mirroring
    are applied; pixels that are not square stay as they are. One thread, so equal sources give equal bytes. Raises
    `BadSample` for a video that is broken or cut off.
    `cut` decodes a part of the frames in place of all of them, see `pipeline.decode.cut`.
    """
    with _open(source) as file, open_video(file) as container:
        stream = video_stream(container)
        if cut is None:
            check_whole(file, demuxer_of(container))
        decoded = (cut or decoded_frames)(container, stream)
        first = next(decoded, None)
        if first is None:
            raise BadSample("the video has no frame that can be decoded")
        rate = frame_rate(stream)
        matrix = display_matrix(first)
        width, height = fitted(first.width, first.height, short_side)
        size = (width, height) if matrix[0] else (height, width)
        data, frames = _write(_scaled(chain([first], decoded), width, height, matrix), size, rate, gop, crf)
    return Transcoded(data, *size, frames, float(rate), float(frames / rate))


def encode(frames: npt.NDArray[np.uint8], fps: Fraction | int | float, gop: int = 12, crf: int = 18) -> bytes:
    """Encode as MP4 uint8 `[T, H, W, 3]` RGB with even H and W, in the form that `transcode` writes."""
    _, height, width, _ = frames.shape
    if height % 2 or width % 2:
        raise ValueError(f"H.264 in yuv420p needs even sizes, not {width} x {height}")
    pictures = (VideoFrame.from_ndarray(frame, format="rgb24") for frame in frames)
    data, _ = _write(
        _scaled(pictures, width, height), (width, height), Fraction(fps).limit_denominator(65_535), gop, crf
    )
    return data


def encode_pictures(
    pictures: Iterator[npt.NDArray[np.uint8]], fps: float, short_side: int, gop: int, crf: int
) -> Transcoded:
    """Encode uint8 `[H, W, 3]` RGB pictures of one size as `transcode` would store them.

    BadSample when there are none.
    """
    first = next(pictures, None)
    if first is None:
        raise BadSample("the video has no frame")
    size = fitted(first.shape[1], first.shape[0], short_side)
    rate = Fraction(fps).limit_denominator(65_535)
    frames = (VideoFrame.from_ndarray(picture, format="rgb24") for picture in chain([first], pictures))
    data, count = _write(_scaled(frames, *size), size, rate, gop, crf)
    return Transcoded(data, *size, count, float(rate), float(count / rate))


def encode_grey(
    pictures: Iterable[npt.NDArray[np.uint8]], size: tuple[int, int], rate: Fraction, gop: int, crf: int
) -> bytes:
    """Encode uint8 `[H, W]` pictures of an even `size` (width, height) whose levels are numbers: grey, 0 to 255."""

    def frames() -> Iterator[VideoFrame]:
        for picture in pictures:
            frame = VideoFrame.from_ndarray(picture, format="gray")
            frame.color_range = ColorRange.JPEG  # else decoders stretch 16..235
            yield frame

    return _write(frames(), size, rate, gop, crf, "gray")[0]


def fitted(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Return (width, height) with the short side at most `short_side`, both even, neither enlarged.

    Raises `BadSample`.
    """
    scale = min(1.0, short_side / min(width, height))
    even_width, even_height = (min(side // 2, round(side * scale / 2)) * 2 for side in (width, height))
    if even_width < 2 or even_height < 2:
        raise BadSample(f"{width} x {height} pixels are too few for a video")
    return even_width, even_height


def _open(source: Path | bytes) -> BinaryIO:
    file = open_file(source) if isinstance(source, Path) else io.BytesIO(source)
    check_bytes(file.seek(0, io.SEEK_END), MAX_VIDEO_BYTES)
    file.seek(0)
    return file


def _scaled(frames: Iterable[VideoFrame], width: int, height: int, matrix: Matrix = AS_STORED) -> Iterator[VideoFrame]:
    """Yield frames scaled to `width` x `height`, then turned and mirrored as the display matrix says, as yuv420p."""
    reformatter = VideoReformatter()  # one for all: it keeps swscale's tables
    pixel_format = "yuv420p" if matrix == AS_STORED else "rgb24"
    for frame in frames:
        scaled = reformatter.reformat(
            frame, width, height, pixel_format, interpolation=Interpolation.BICUBIC, threads=1
        )
        if matrix != AS_STORED:
            turned = np.ascontiguousarray(upright(scaled, matrix))
            scaled = VideoFrame.from_ndarray(turned, format="rgb24").reformat(format="yuv420p", threads=1)
        yield scaled


def _write(
    frames: Iterable[VideoFrame], size: tuple[int, int], rate: Fraction, gop: int, crf: int, pixels: str = "yuv420p"
) -> tuple[bytes, int]:
    """Encode frames of a pixel format and `size` (width, height); returns the file and how many frames are in it."""
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
            stream.pix_fmt = pixels
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
