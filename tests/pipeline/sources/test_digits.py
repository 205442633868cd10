from pathlib import Path

import numpy as np
import pytest

from pipeline.base.keyed import generator
from pipeline.decode.image import decode_image
from pipeline.decode.video import count_frames, decode_frames
from pipeline.sources.digits import DIRECTIONS, draw_clips, draw_images, moving_clip


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}


def test_clips_are_named_by_direction_and_the_same_however_they_are_split(tmp_path: Path) -> None:
    draw_clips(tmp_path / "whole", range(6), size_px=32, frames=4)
    for part in (range(3, 6), range(3)):
        draw_clips(tmp_path / "parts", part, size_px=32, frames=4)
    whole = files(tmp_path / "whole")
    assert sorted(whole) == [
        "down/00000.mp4",
        "down/00004.mp4",
        "left/00001.mp4",
        "left/00005.mp4",
        "right/00002.mp4",
        "up/00003.mp4",
    ]
    assert whole == files(tmp_path / "parts")
    clip = whole["left/00001.mp4"]
    assert count_frames(clip) == 4
    assert decode_frames(clip, np.arange(4)).shape == (4, 32, 32, 3)


def test_images_are_the_real_digits(tmp_path: Path) -> None:
    draw_images(tmp_path, range(12), size_px=24)
    drawn = files(tmp_path)
    # load_digits begins 0 1 2 ... 9 0 1
    assert sorted(drawn) == sorted([*(f"{i}/{i:04d}.jpg" for i in range(10)), "0/0010.jpg", "1/0011.jpg"])
    zero = decode_image(drawn["0/0000.jpg"])
    assert zero.shape == (24, 24, 3)
    assert zero[12, 12].max() < 40  # a ring: dark in the middle
    assert zero.max() > 200


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_clip_moves_by_half_a_picture(direction: str) -> None:
    glyph = np.ones((8, 8), np.float32)
    clip = moving_clip(glyph, direction, 32, 5, generator("test"))
    dx, dy = DIRECTIONS[direction]
    for t in range(5):
        np.testing.assert_array_equal(clip[t], np.roll(clip[0], (4 * t * dy, 4 * t * dx), axis=(0, 1)))
    assert int((clip[0, :, :, 0] == 255).sum()) == 12 * 12


def test_one_frame_says_nothing_of_the_direction() -> None:
    """At each time the mean over many starts is the same for all directions, but for what chance leaves."""
    glyph = np.ones((8, 8), np.float32)
    means = {
        direction: np.mean([moving_clip(glyph, direction, 16, 3, generator(i)) for i in range(3000)], axis=0)
        for direction in DIRECTIONS
    }
    share = 255 * (6 / 16) ** 2  # the glyph covers 6 of 16 pixels each way
    error = 255 * 0.35 / 3000**0.5  # standard deviation of a pixel's mean
    for mean in means.values():
        assert np.abs(mean - share).max() < 5.5 * error
