"""Clips out of stored videos, by decord."""

import io
from typing import Any

import av
import av.error
import cv2  # noqa: F401  (first: with decord's zlib loaded before its own, OpenCV cannot decode any PNG)
import numpy as np
import numpy.typing as npt

from pipeline.decode.limits import BadSample
from pipeline.decode.upright import display_matrix, upright


def decode_frames(data: bytes | memoryview, frames: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Decode the frames with indices `frames` `[T]` (any order, repeats allowed) to uint8 `[T, H, W, 3]` RGB.

    Exact for files that `transcode` wrote or `check_video` passed; decord returns other frames of open-GOP files. It
    can hang on a hostile file, so call it on other files only where the process may be killed.
    Raises `BadSample` when the bytes cannot be decoded, `IndexError` for an index that the video does not have.
    """
    import decord  # not before: in a process that has it first, Ray's actors crash (`pipeline.base.forks.server`)

    reader = _reader(data)
    if len(frames) and not (int(frames.min()) >= 0 and int(frames.max()) < len(reader)):
        raise IndexError(f"frames {frames.min()} to {frames.max()} asked of a video of {len(reader)}")
    try:
        return reader.get_batch(frames.tolist()).asnumpy()
    except decord.DECORDError:
        # decord 0.6 takes padded rows for a fourth channel at a few widths (8, 16, 24, 48, 72 px, ...) and gives up
        return _by_pyav(data, frames)


def count_frames(data: bytes | memoryview) -> int:
    """Count the frames that decord finds."""
    return len(_reader(data))


def _by_pyav(data: bytes | memoryview, frames: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Decode the same from the first frame on, upright as decord's are."""
    wanted, found = set(frames.tolist()), {}
    try:
        with av.open(io.BytesIO(data), "r") as container:
            for i, frame in enumerate(container.decode(video=0)):
                if i in wanted:
                    found[i] = upright(frame, display_matrix(frame))
        return np.stack([found[i] for i in frames.tolist()])
    except (av.error.FFmpegError, KeyError) as error:
        raise BadSample("the video cannot be decoded") from error


def _reader(data: bytes | memoryview) -> Any:
    import decord

    try:
        return decord.VideoReader(io.BytesIO(data), num_threads=1)
    except (decord.DECORDError, RuntimeError) as error:
        raise BadSample("the video cannot be opened") from error
