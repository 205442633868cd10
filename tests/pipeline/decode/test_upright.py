"""A display matrix says where each pixel is shown."""

import numpy as np
import pytest
from av.video.frame import VideoFrame

from pipeline.decode.transcode import transcode
from pipeline.decode.upright import AS_STORED, Matrix, display_matrix, is_mirrored, upright
from pipeline.decode.video import decode_frames
from tests.videos import FRAMES, number_of, video

PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


@pytest.mark.parametrize(
    ("matrix", "shown", "mirrored"),
    [
        (AS_STORED, PICTURE, False),
        ((-1, 0, 0, 1), PICTURE[:, ::-1], True),
        ((1, 0, 0, -1), PICTURE[::-1], True),
        ((-1, 0, 0, -1), PICTURE[::-1, ::-1], False),
        ((0, -1, 1, 0), np.rot90(PICTURE), False),
        ((0, 1, -1, 0), np.rot90(PICTURE, 3), False),
        ((0, 1, 1, 0), PICTURE.swapaxes(0, 1), True),
        ((0, -1, -1, 0), np.rot90(PICTURE, 2).swapaxes(0, 1), True),
    ],
)
def test_upright(matrix: Matrix, shown: np.ndarray, mirrored: bool) -> None:
    frame = VideoFrame.from_ndarray(PICTURE, format="rgb24")
    assert np.array_equal(upright(frame, matrix), shown)
    assert is_mirrored(matrix) == mirrored


def test_a_frame_without_a_matrix_is_as_stored() -> None:
    assert display_matrix(VideoFrame.from_ndarray(PICTURE, format="rgb24")) == AS_STORED


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_mirroring_is_applied_before_the_turn(rotation: int) -> None:
    stored = transcode(video(rotation=rotation, mirrored=True), short_side=72, gop=12, crf=18)
    frames = decode_frames(stored.data, np.arange(FRAMES))
    as_stored = [np.rot90(frame, -rotation // 90)[:, ::-1] for frame in frames]
    assert [number_of(frame) for frame in as_stored] == list(range(FRAMES))
