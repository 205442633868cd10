import numpy as np

from pipeline.figures.boxes import LEAST_PX
from pipeline.tasks.detection.draw import FALSE, FOUND, LOST, MISNAMED, compared, said, truth
from tests.pipeline.tasks.detection.cases import arrays

CLASSES = ("cat", "dog", "eel", "fox")
GROUND = np.full((200, LEAST_PX, 3), 90, np.uint8)


def px(pixels: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((pixels == colour).all(-1).sum())


def test_right_wrong_and_missed_are_told_apart() -> None:
    objects = arrays([(10, 30, 60, 80), (100, 30, 150, 80), (200, 30, 250, 80)], kind=[0, 1, 2])
    boxes = [(10, 30, 60, 80), (100, 30, 150, 80), (200, 120, 250, 180)]
    answer = arrays(boxes, kind=[0, 3, 3], score=[0.9, 0.8, 0.3])
    drawing = compared(GROUND, answer, objects, CLASSES)
    assert all(px(drawing.pixels, colour) > 100 for colour in (FOUND, MISNAMED, FALSE, LOST))
    assert (drawing.words, drawing.right) == ("1 of 3 found, 2 wrong", False)
    surer = compared(GROUND, answer, objects, CLASSES, threshold=0.85)
    assert px(surer.pixels, MISNAMED) == px(surer.pixels, FALSE) == 0
    assert px(surer.pixels, LOST) > px(drawing.pixels, LOST)
    assert surer.words == "1 of 3 found, 0 wrong"
    assert GROUND.min() == GROUND.max() == 90


def test_all_found_is_right_and_so_is_nothing_where_nothing_is() -> None:
    one = arrays([(10, 30, 60, 80)], kind=[0])
    assert compared(GROUND, arrays([(10, 30, 60, 80)], kind=[0], score=[0.9]), one, CLASSES).right
    none = compared(GROUND, arrays([], kind=[], score=[]), arrays(), CLASSES)
    assert none.right
    assert (none.pixels == GROUND).all()


def test_a_truth_and_an_answer_name_what_is_there() -> None:
    objects = arrays([(10, 30, 60, 80)] * 6, kind=[0, 1, 1, 2, 3, -1], crowd=[0, 1, 2, 0, 0, 0])
    drawing = truth(GROUND, objects, CLASSES)
    assert drawing.words == "2 x dog, 1 x cat, 1 x eel, 1 more classes"
    assert drawing.right is None
    assert (drawing.pixels != GROUND).any()
    answer = said(GROUND, arrays([(10, 30, 60, 80)] * 2, kind=[2, -1], score=[0.5, 0]), CLASSES)
    assert answer.words == "1 x eel"
    assert truth(GROUND, arrays(), CLASSES).words == "nothing"
