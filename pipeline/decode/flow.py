"""Optical flow as it is stored: a grey video beside the video, and how it is computed or taken from files.

Field i is the motion from frame i to frame i + 1 in px of the stored video, x to the right and y downwards. Its picture
shows x above y: -limit_px to limit_px as the levels 0 to 255, so that 127.5 is no motion, and what lies beyond is
clipped. There are as many fields as frames: the last one repeats the one before.
"""

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.alive import alive
from pipeline.decode.cut import is_inside
from pipeline.decode.frames import frame_files
from pipeline.decode.image import decode_image
from pipeline.decode.limits import MAX_IMAGE_BYTES, BadSample
from pipeline.decode.probe import open_file
from pipeline.decode.transcode import Transcoded, encode_grey
from pipeline.decode.video import decode_frames

Float32Array = npt.NDArray[np.float32]
UInt8Array = npt.NDArray[np.uint8]


def levels(vectors: Float32Array, limit_px: float) -> UInt8Array:
    """Quantise px to levels, the half to the even one: no motion, 127.5, becomes 128."""
    return np.rint((vectors + limit_px) * (255 / (2 * limit_px))).clip(0, 255).astype(np.uint8)


def vectors(levels: UInt8Array, limit_px: float) -> Float32Array:
    """Return the px that levels stand for."""
    return (levels.astype(np.float32) - 127.5) * np.float32(limit_px / 127.5)


def compute_flow(video: Transcoded, limit_px: float, gop: int, crf: int) -> bytes:
    """Compute the flow of a stored video by DIS (Kroeger et al. 2016), OpenCV's preset MEDIUM, and encode it.

    One thread, so equal videos give equal bytes. BadSample for a video that is too small.
    """
    return _encoded(_between(_grey(video.data)), video, limit_px, gop, crf)


def encode_given(
    places: Sequence[tuple[Path, str]],
    fps: float,
    segment: tuple[float | None, float | None],
    video: Transcoded,
    limit_px: float,
    gop: int,
    crf: int,
) -> bytes:
    """Encode flow of a `video` that lies as grey pictures, of x and of y each in a folder and called by a pattern.

    Their levels stand for -limit_px to limit_px at their own size; where the video was made smaller, so are the
    vectors. BadSample where there are not as many as frames, or one fewer, or where their shape is not the video's.
    """
    apart = places[0][0] != places[1][0]
    called = [str(folder / pattern) if apart else pattern for folder, pattern in places]
    try:
        files = [frame_files(folder, pattern) for folder, pattern in places]
    except BadSample as error:
        raise BadSample(f"{' and '.join(called)}: {error.reason}" if apart else error.reason) from error
    if len(files[0]) != len(files[1]):
        raise BadSample(f"there are {len(files[0])} fields {called[0]} and {len(files[1])} fields {called[1]}")
    # Of a segment those of its frames; the last frame of the whole video has none
    chosen = [i for i in range(len(files[0])) if is_inside(i / fps, *segment)]
    if not video.frames - 1 <= len(chosen) <= video.frames or not chosen:
        raise BadSample(f"there are {len(chosen)} fields {called[0]} for {video.frames} frames")
    given = (_scaled([_picture(of_axis[i]) for of_axis in files], video, limit_px) for i in chosen)
    return _encoded(given, video, limit_px, gop, crf)


def read_flow(data: bytes | memoryview, fields: npt.NDArray[np.integer]) -> UInt8Array:
    """Decode the fields with indices `fields` [F] as levels, uint8 [F, 2, H, W], x before y. Errors as of frames."""
    grey = decode_frames(data, fields)[..., 0]
    return grey.reshape(len(grey), 2, -1, grey.shape[-1])


def _grey(data: bytes) -> Iterator[UInt8Array]:
    """Yield each frame, uint8 [H, W]."""
    try:
        with av.open(io.BytesIO(data), "r") as container:
            for frame in container.decode(video=0):
                alive()
                yield np.ascontiguousarray(frame.to_ndarray(format="gray"))
    except av.error.FFmpegError as error:
        raise BadSample(f"its flow cannot be computed: {error.strerror}") from error


def _between(frames: Iterator[UInt8Array]) -> Iterator[Float32Array]:
    """Yield the field [H, W, 2] from each frame to the next."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        before = next(frames)
        for after in frames:
            yield np.asarray(method.calc(before, after, np.zeros(0)), np.float32)  # nothing to start from
            before = after
    except cv2.error as error:
        raise BadSample(f"its flow cannot be computed: {' '.join(str(error).split())}") from error
    finally:
        cv2.setNumThreads(threads)


def _encoded(fields: Iterator[Float32Array], video: Transcoded, limit_px: float, gop: int, crf: int) -> bytes:
    rate = Fraction(video.fps).limit_denominator(65_535)
    return encode_grey(_pictures(fields, video, limit_px), (video.width, 2 * video.height), rate, gop, crf)


def _pictures(fields: Iterator[Float32Array], video: Transcoded, limit_px: float) -> Iterator[UInt8Array]:
    """Yield as many pictures [2 H, W] as the video has frames."""
    picture = levels(np.zeros((2 * video.height, video.width), np.float32), limit_px)
    count = 0
    for field in fields:
        picture = levels(np.concatenate([field[..., 0], field[..., 1]]), limit_px)
        count += 1
        yield picture
    for _ in range(count, video.frames):
        yield picture


def _picture(path: Path) -> UInt8Array:
    """Read one axis of a field, uint8 [H, W]."""
    with open_file(path) as file:
        data = file.read(MAX_IMAGE_BYTES + 1)
    try:
        return decode_image(data)[..., 0]
    except BadSample as error:
        raise BadSample(f"{path.name}: {error.reason}") from error


def _scaled(axes: list[UInt8Array], video: Transcoded, limit_px: float) -> Float32Array:
    """Return a field [H, W, 2] of pictures of both axes, at the video's size."""
    height, width = axes[0].shape
    ratio = video.width / width, video.height / height
    if axes[1].shape != axes[0].shape or abs(ratio[0] * height - video.height) > 2:
        raise BadSample(
            f"its flow has {width} x {height} pixels, which is another shape than the video's, "
            f"{video.width} x {video.height} as it is stored"
        )
    field = vectors(np.stack(axes, axis=-1), limit_px)
    if (height, width) != (video.height, video.width):
        field = np.asarray(cv2.resize(field, (video.width, video.height), interpolation=cv2.INTER_AREA))
    return field * np.array(ratio, np.float32)
