from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.recipe.evaluate import KEYS, Crf, Evaluate
from pipeline.recipe.section import without_late


def test_what_came_later_is_left_out_at_its_default() -> None:
    written = Evaluate()
    assert without_late(written, written.model_dump(mode="json")) == {"clips": 1, "crops": 1}
    told = Evaluate(
        scales=[0.5, 1],
        flip=True,
        tile=256,
        overlap=16,
        crf=Crf(iterations=5),
        threshold={"cat": 0.25},
        max_detections=300,
    )
    left = without_late(told, told.model_dump(mode="json"))
    assert set(left) == {"clips", "crops", *KEYS["mask"], *KEYS["objects"]}
    assert Evaluate.model_validate(left) == told


def test_the_crf_is_that_of_deeplab_v2() -> None:
    assert Evaluate.model_validate({"crf": {}}).crf == Crf(
        iterations=10, pos_w=3, pos_xy_std=1, bi_w=4, bi_xy_std=67, bi_rgb_std=3
    )


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"scales": []}, "scales"),
        ({"scales": [0.0]}, r"scales\.0"),
        ({"scales": [1.0, 9.0]}, r"scales\.1"),
        ({"tile": 8}, "tile"),
        ({"overlap": -1, "tile": 64}, "overlap"),
        ({"overlap": 16}, "there is no tile; set tile, or leave overlap out"),
        ({"tile": 128, "overlap": 50}, "keeps less than 32 px; set tile to 132 or more, or lower overlap"),
        ({"crf": {"iterations": 0}}, r"crf\.iterations"),
        ({"crf": {"bi_rgb_std": 0.5}}, r"crf\.bi_rgb_std"),
        ({"crf": {"pos_w": -1}}, r"crf\.pos_w"),
    ],
)
def test_what_cannot_be(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Evaluate.model_validate(values)


def test_a_tile_that_keeps_just_enough_is_fine() -> None:
    assert Evaluate(tile=132, overlap=50).overlap == 50
