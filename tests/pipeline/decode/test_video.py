"""decord's side: order, repeats, errors."""

import subprocess
import sys

import numpy as np
import pytest

from pipeline.decode.limits import BadSample
from pipeline.decode.transcode import encode
from pipeline.decode.video import count_frames, decode_frames

LEVELS = np.arange(30, dtype=np.uint8) * 8


@pytest.fixture(scope="module")
def data() -> bytes:
    return encode(np.broadcast_to(LEVELS[:, None, None, None], (30, 32, 48, 3)).copy(), fps=25)


def test_frames_come_as_asked(data: bytes) -> None:
    asked = np.array([29, 0, 13, 13, 12, 25])
    for given in (data, memoryview(data)):
        frames = decode_frames(given, asked)
        assert frames.shape == (6, 32, 48, 3)
        assert frames.dtype == np.uint8
        assert np.abs(frames.mean((1, 2, 3)) - LEVELS[asked]).max() < 3
    assert count_frames(data) == 30


@pytest.mark.parametrize("asked", [[30], [-1], [0, 99]])
def test_frames_that_are_not_there(data: bytes, asked: list[int]) -> None:
    with pytest.raises(IndexError, match="of a video of 30"):
        decode_frames(data, np.array(asked))


@pytest.mark.parametrize("width", [2, 8, 16, 24, 32, 46, 48, 64, 72, 100])
def test_every_width(width: int) -> None:
    """Decord 0.6 alone fails at 2, 8, 16, 24, 48 and 72 px."""
    frames = np.zeros((6, 32, width, 3), np.uint8)
    frames[:, :16] = 200, 60, 20
    frames[:] += np.arange(6, dtype=np.uint8)[:, None, None, None] * 8
    asked = np.array([5, 0, 3, 3])
    decoded = decode_frames(encode(frames, fps=10, crf=4), asked)
    assert decoded.shape == (4, 32, width, 3)
    assert np.abs(decoded.astype(int) - frames[asked])[:, [4, 28]].max() <= 6


@pytest.mark.parametrize("broken", [b"", b"no video at all", b"\x00\x00\x00\x18ftypmp42"])
def test_broken_bytes(broken: bytes) -> None:
    with pytest.raises(BadSample, match="cannot be opened"):
        decode_frames(broken, np.array([0]))


def test_png_can_be_decoded_beside_decord() -> None:
    """OpenCV takes decord's zlib for its own when that is loaded first, and then decodes no PNG."""
    code = (
        "import numpy as np, pipeline.decode.video, cv2\n"
        "from pipeline.decode.image import decode_image\n"
        "decode_image(cv2.imencode('.png', np.zeros((32, 32, 3), np.uint8))[1].tobytes())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
