from typing import Any

import torch

from pipeline.recipe import plain
from pipeline.training.sizes import batch_size_px, resized, scaled


def test_the_shorter_side_gets_so_many_px() -> None:
    assert scaled((240, 320), 300) == (300, 400)
    assert scaled((320, 240), 240) == (320, 240)
    assert scaled((100, 149), 50) == (50, 74)  # 74.5, to even


def test_sizes_are_drawn_by_the_place_of_the_batch_alone(make_recipe: Any) -> None:
    one = make_recipe("image", **{"train.sizes": []})
    assert batch_size_px(one, (240, 320), (3, 5)) == (240, 320)
    assert "sizes" not in plain(one)["train"]  # old stores stay valid
    recipe = one.model_copy(update={"train": one.train.model_copy(update={"sizes": [60, 120, 240]})})
    drawn = [batch_size_px(recipe, (240, 320), (epoch, k)) for epoch in range(2) for k in range(300)]
    assert [min(size) for size in drawn[:8]] == [240, 60, 60, 60, 60, 120, 120, 120]
    assert {size: drawn.count(size) for size in set(drawn)} == {(60, 80): 221, (120, 160): 177, (240, 320): 202}
    assert batch_size_px(recipe, (240, 320), (1, 7)) == drawn[307]
    assert batch_size_px(recipe.model_copy(update={"seed": 1}), (240, 320), (1, 7)) in set(drawn)


def test_pixels_are_resized_bilinearly() -> None:
    """Twice as wide: between two pixels there are a quarter and three of the way."""
    x = torch.tensor([0.0, 4, 0]).expand(2, 1, 3, 3)
    assert resized(x, (3, 6))[1, 0, 0].tolist() == [0, 1, 3, 3, 1, 0]
