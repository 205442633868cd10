"""One contract for all operations; and what is in the picture moves with it."""

from typing import Any

import albumentations as A
import numpy as np
import numpy.typing as npt
import pytest

from augment.erase import GREY
from augment.magnitudes import MAGNITUDES, argument
from augment.operations import GEOMETRIC, PHOTOMETRIC, Step, Steps, apply_step
from pipeline.base.keyed import generator

UInt8Array = npt.NDArray[np.uint8]


class Given(Steps):
    """Steps that are not drawn."""

    def __init__(self, *steps: Step) -> None:
        super().__init__(p=1.0)
        self.steps = list(steps)

    def draw(self, height: int, width: int) -> list[Step]:
        return self.steps


def picture() -> UInt8Array:
    """A colour picture with soft and hard edges and some texture, without the darkest and brightest values."""
    rows, columns = np.mgrid[0:48, 0:64]
    waves = np.stack([130 + 70 * np.sin(rows / 9 + c + columns * (c + 1) / 13) for c in range(3)], -1)
    waves[12:20, 12:24] = (200, 60, 90)
    waves += generator("texture").normal(0, 8, waves.shape)
    return waves.astype(np.uint8)


def step_of(name: str, strength: float, sign: int = 1, wide: bool = False) -> Step:
    value = argument(name, strength, sign, 48, 64, wide)
    return Step(name, value, (10, 10, 10 + int(value), 10 + int(value)) if name == "Cutout" else None)


def change(step: Step) -> tuple[float, int]:
    """Mean and greatest change in grey levels."""
    difference = np.abs(apply_step(picture(), step, GREY).astype(int) - picture())
    return float(difference.mean()), int(difference.max())


def test_every_operation_is_built() -> None:
    assert {*PHOTOMETRIC, *GEOMETRIC, "Cutout"} == set(MAGNITUDES)


@pytest.mark.parametrize("name", MAGNITUDES)
def test_contract(name: str) -> None:
    for strength, sign, wide in ((0.0, 1, False), (0.3, -1, False), (1.0, 1, False), (1.0, -1, True)):
        step, frame = step_of(name, strength, sign, wide), picture()
        result = apply_step(frame, step, GREY)
        assert result.shape == frame.shape
        assert result.dtype == np.uint8
        assert np.array_equal(frame, picture()), "the input was changed"
        compose = A.Compose([Given(step)])
        clip = np.stack([frame, np.roll(frame, 9, 1), frame[::-1]])
        expected = np.stack([apply_step(each, step, GREY) for each in clip])
        assert np.array_equal(compose(images=clip)["images"], expected)
        assert np.array_equal(compose(image=frame)["image"], expected[0])


@pytest.mark.parametrize("name", [name for name, magnitude in MAGNITUDES.items() if magnitude])
def test_magnitudes_can_be_seen_and_grow(name: str) -> None:
    for sign in (1, -1):
        changes, greatest = zip(*[change(step_of(name, k / 9, sign)) for k in range(10)], strict=True)
        assert changes[0] == 0
        # A picture that is moved far may happen to resemble itself, so only the others must grow
        assert name in GEOMETRIC or list(changes) == sorted(changes)
        assert greatest[2] > 0
        assert greatest[4] > 2
        assert changes[9] > 1


@pytest.mark.parametrize("name", [name for name, magnitude in MAGNITUDES.items() if not magnitude])
def test_operations_without_magnitude_can_be_seen(name: str) -> None:
    assert change(Step(name, 0))[0] > 8


MOVES = [
    Step("ShearX", 0.3),
    Step("ShearX", -0.1),
    Step("ShearY", 0.2),
    Step("TranslateX", 9),
    Step("TranslateY", -7),
    Step("Rotate", 25),
    Step("Rotate", -90),
]


@pytest.mark.parametrize("steps", [[step] for step in MOVES] + [MOVES[:1] + MOVES[4:6]], ids=str)
def test_masks_boxes_and_key_points_move_along(steps: list[Step]) -> None:
    """A white square on black: wherever it goes, its mask, its box and the point in its middle go too."""
    frame, mask = np.zeros((80, 100, 3), np.uint8), np.zeros((80, 100), np.uint8)
    frame[30:41, 40:55] = 255
    mask[30:41, 40:55] = 1
    compose = A.Compose(
        [Given(Step("Invert", 0), *steps, Step("Invert", 0))],
        bbox_params=A.BboxParams(format="pascal_voc", label_fields=["names"]),
        keypoint_params=A.KeypointParams(format="xy"),
    )
    middle = np.array([[47.0, 35.0]])
    data: dict[str, Any] = compose(
        image=255 - frame, mask=mask, bboxes=np.array([[40.0, 30, 55, 41]]), names=[0], keypoints=middle
    )
    white = data["image"][..., 0] == 0
    assert np.array_equal(data["mask"] == 1, white)
    rows, columns = np.nonzero(white)
    assert data["keypoints"][0] == pytest.approx([columns.mean(), rows.mean()], abs=0.5)
    box, around = data["bboxes"][0], [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    # Each warp puts an upright box about the last one's, so after several there is some room
    assert box == pytest.approx(around, abs=1.5 if len(steps) == 1 else 4)
    assert (box[:2] <= np.array(around[:2]) + 1).all()
    assert (box[2:] >= np.array(around[2:]) - 1).all()


@pytest.mark.parametrize("name", [*PHOTOMETRIC, "Cutout"])
def test_other_operations_leave_them_as_they_are(name: str) -> None:
    mask = generator("mask").integers(0, 12, (48, 64), np.uint8)
    compose = A.Compose(
        [Given(step_of(name, 1.0))],
        bbox_params=A.BboxParams(format="pascal_voc", label_fields=["names"]),
        keypoint_params=A.KeypointParams(format="xy"),
    )
    data = compose(
        image=picture(), mask=mask, bboxes=np.array([[4.0, 5, 20, 30]]), names=[0], keypoints=np.array([[12.0, 13.0]])
    )
    assert np.array_equal(data["mask"], mask)
    assert data["bboxes"][0] == pytest.approx([4, 5, 20, 30])
    assert data["keypoints"][0].tolist() == [12, 13]


def test_masks_are_filled_with_their_own_value() -> None:
    class Moved(Given):
        fill_mask = 0.0

        def draw(self, height: int, width: int) -> list[Step]:
            self.fill_mask = 11
            return [Step("TranslateX", 2)]

    mask = np.full((48, 64, 1), 3, np.uint8)
    moved = A.Compose([Moved()])(image=picture(), mask=mask)["mask"]
    assert moved.shape == mask.shape
    assert (moved[:, :2] == 11).all()
    assert (moved[:, 2:] == 3).all()
