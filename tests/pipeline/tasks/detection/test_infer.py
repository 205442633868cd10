from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pipeline.recipe.evaluate import Evaluate
from pipeline.tasks.detection.infer import Found, Options, find, looks, merged, restored, starts


def bright(x: Tensor) -> Found:
    """Find the one rectangle that is not black, in each picture: its box, its area as a score."""
    found = {"boxes": torch.zeros(len(x), 2, 4), "score": torch.zeros(len(x), 2), "kind": torch.full((len(x), 2), -1)}
    for i, picture in enumerate(x):
        y, xs = (picture[0] > 0.5).nonzero(as_tuple=True)
        if len(y):
            found["boxes"][i, 0] = torch.stack([xs.min(), y.min(), xs.max() + 1, y.max() + 1]).float()
            found["score"][i, 0], found["kind"][i, 0] = len(y) / 1000, 0
    return found


def picture(*boxes: tuple[int, int, int, int], height: int = 40, width: int = 64) -> Tensor:
    x = torch.zeros(len(boxes), 3, height, width)
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        x[i, :, y0:y1, x0:x1] = 1
    return x


BOXES = ((4, 6, 20, 16), (30, 20, 60, 40))


@pytest.mark.parametrize(
    "options",
    [
        Options(most=2),
        Options(most=2, flip=True),
        Options(most=2, scales=(1.0, 2.0, 0.5)),
        Options(most=2, scales=(0.5, 1.0), flip=True),
    ],
)
def test_however_it_looks_it_finds_the_same(options: Options) -> None:
    found = find(bright, picture(*BOXES), options)
    assert found["kind"].tolist() == [[0, -1], [0, -1]]
    torch.testing.assert_close(found["boxes"][:, 0], torch.tensor(BOXES, dtype=torch.float32))


def test_tiles_find_what_lies_in_one_of_them() -> None:
    options = Options(most=3, tile_px=32, tile_overlap_px=16)
    found = find(bright, picture((4, 6, 18, 16), (36, 12, 48, 30)), options)
    torch.testing.assert_close(found["boxes"][:, 0], torch.tensor([[4.0, 6, 18, 16], [36, 12, 48, 30]]))
    mirrored = find(bright, picture((4, 6, 18, 16)), Options(most=3, tile_px=32, tile_overlap_px=16, flip=True))
    torch.testing.assert_close(mirrored["boxes"][0, 0], torch.tensor([4.0, 6, 18, 16]))


def test_of_one_object_the_best_answer_stays() -> None:
    box, beside, other = [0.0, 0, 10, 10], [1.0, 0, 11, 10], [30.0, 30, 40, 40]

    def found(boxes: list[list[float]], score: list[float], kind: list[int]) -> Found:
        return {"boxes": torch.tensor([boxes]), "score": torch.tensor([score]), "kind": torch.tensor([kind])}

    one, two = found([box, other], [0.5, 0.4], [0, 0]), found([beside, box], [0.7, 0.6], [0, 1])
    made = merged([one, two], 4, 0.5)
    assert made["kind"].tolist() == [[0, 1, 0, -1]]
    torch.testing.assert_close(made["score"], torch.tensor([[0.7, 0.6, 0.4, 0]]))
    assert made["boxes"][0, 0].tolist() == beside
    assert merged([one, two], 1, 0.5)["kind"].tolist() == [[0]]
    told = [each | {"said": each["score"] >= 0.5, "loss": torch.ones(1)} for each in (one, two)]
    assert merged(told, 4, 0.5)["said"].tolist() == [[True, True, False, False]]


@given(st.integers(1, 500), st.integers(64, 200), st.integers(0, 60))
def test_tiles_cover_a_side(length: int, tile_px: int, overlap_px: int) -> None:
    begins = starts(length, tile_px, overlap_px)
    assert begins[0] == 0
    assert begins[-1] == max(length - tile_px, 0)
    assert all(0 < b - a <= tile_px - overlap_px for a, b in pairwise(begins))


def test_boxes_come_back_to_the_file() -> None:
    """Seen at half of its size, mirrored, 10 px lower."""
    frame = torch.tensor([[-0.5, 0, 50], [0, 0.5, 10]])
    back = restored(torch.tensor([[[10.0, 15, 20, 30], [45, 0, 50, 12]]]), frame, (60, 100))
    torch.testing.assert_close(back, torch.tensor([[[60.0, 10, 80, 40], [0, 0, 10, 4]]]))
    turned = restored(torch.tensor([[[0.0, 0, 4, 2]]]), torch.tensor([[0.0, 1, 0], [-1, 0, 9]]), (9, 9))
    torch.testing.assert_close(turned, torch.tensor([[[7.0, 0, 9, 4]]]))


@pytest.mark.parametrize(
    ("how", "check"),
    [
        (None, lambda options: options.plain and options.most == 100),
        (Evaluate(max_detections=7), lambda options: options.plain and options.most == 7),
        (Evaluate(flip=True), lambda options: options.flip and not options.plain),
        (Evaluate(tile=100), lambda options: (options.tile_px, options.tile_overlap_px) == (100, 25)),
        (Evaluate(tile=100, overlap=10), lambda options: options.tile_overlap_px == 10),
    ],
)
def test_a_recipe_says_how_to_look(how: Evaluate | None, check: Callable[[Options], bool]) -> None:
    assert check(looks(how))
