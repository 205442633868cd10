"""A drawing as a picture of its own."""

import cv2
import numpy as np
import pytest

from pipeline.figures.caption import LEAST_PX, captioned
from pipeline.figures.drawing import Drawing


def seen(drawing: Drawing) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(captioned(drawing), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


@pytest.mark.parametrize("words", ["0.93 cat", "0.93 " + "a very long name " * 20, "", "猫"])
def test_words_stand_above_a_picture_that_stays(words: str) -> None:
    pixels = np.zeros((60, 300, 3), np.uint8)
    pixels[:, 150:] = (0, 200, 0)
    picture = seen(Drawing(pixels, words))
    assert picture.shape[1] == 300
    above = picture.shape[0] - 60
    assert 14 < above < 40
    assert picture[above + 5 :, 160:, 1].min() > 180
    assert picture[above + 5 :, :140].max() < 20
    assert (picture[:above].min() < 128) == bool(words.strip())


def test_a_small_picture_is_enlarged_and_frames_stand_side_by_side() -> None:
    assert seen(Drawing(np.zeros((20, 32, 3), np.uint8), "a")).shape[1] == 256 >= LEAST_PX
    frames = np.zeros((3, 100, 120, 3), np.uint8)
    assert seen(Drawing(frames, "a")).shape[1] == 3 * 120 + 2 * 3  # gaps of a fortieth between them
