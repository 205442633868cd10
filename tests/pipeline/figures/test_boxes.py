import numpy as np
import pytest

from pipeline.figures.boxes import LEAST_PX, Box, bright, draw_boxes

RED = (255, 0, 0)


@pytest.mark.parametrize("words", ["", "cat 0.93", "猫", "a very long name " * 20])
def test_a_box_stands_where_its_edges_are(words: str) -> None:
    pixels = draw_boxes(np.full((240, 400, 3), 90, np.uint8), [Box((100, 80, 300, 200), words, RED)])
    red = (pixels == RED).all(-1)
    assert red[140, 98:103].any()
    assert red[140, 297:302].any()
    assert red[198:203, 200].any()
    assert not red[100:180, 110:290].any()
    assert not red[205:].any()
    assert (red[:75].sum() > 100) == bool(words)


def test_small_pictures_are_enlarged_and_dashes_have_gaps() -> None:
    ground = np.full((40, 50, 3), 90, np.uint8)
    whole, dashed = (draw_boxes(ground, [Box((10, 10, 40, 30), "", RED, dashed)]) for dashed in (False, True))
    assert whole.shape == dashed.shape == (280, 350, 3)
    assert whole.shape[1] >= LEAST_PX
    counts = [int((each == RED).all(-1).sum()) for each in (whole, dashed)]
    assert 0.3 < counts[1] / counts[0] < 0.75


@pytest.mark.parametrize("edges", [(-50, -50, 600, 500), (10, 10, 10, 10), (390, 0, 400, 9), (0.2, 0.3, 0.4, 0.5)])
def test_boxes_at_the_borders_and_of_no_size_are_drawn(edges: tuple[float, ...]) -> None:
    assert draw_boxes(np.zeros((240, 400, 3), np.uint8), [Box(edges, "name", RED)]).any()


def test_the_first_lies_on_top() -> None:
    boxes = [Box((100, 80, 300, 200), "", RED), Box((100, 80, 300, 200), "", (0, 0, 255))]
    pixels = draw_boxes(np.zeros((240, 400, 3), np.uint8), boxes)
    assert (pixels == RED).all(-1).any()
    assert not (pixels == (0, 0, 255)).all(-1).any()


def test_neighbouring_classes_have_colours_far_apart() -> None:
    colours = np.array([bright(number) for number in range(20)])
    assert np.abs(np.diff(colours, axis=0)).max(1).min() > 100
    assert len(np.unique(colours, axis=0)) == 20
