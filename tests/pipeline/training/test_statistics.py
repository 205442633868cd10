from typing import Any

import numpy as np
import pytest

from pipeline.decode.image import decode_image
from pipeline.shards.dataset import Dataset
from pipeline.shards.reader import ShardReader
from pipeline.training.statistics import asked, measured, with_statistics
from tests.conftest import RecipeMaker


def nothing(*_: Any) -> None:
    pass


def test_mean_and_deviation_are_those_of_what_an_evaluation_sees(make_recipe: RecipeMaker, images: Dataset) -> None:
    recipe = make_recipe("image", **{"augment.mean": "measure", "augment.std": "measure"})
    assert asked(recipe)
    found = measured(recipe, images, nothing)
    split, reader = images.split("train"), ShardReader(images.files, "train")
    crops = [decode_image(reader.read(*split.place(i)).data)[2:18, 4:20] for i in range(split.samples)]
    levels = np.stack(crops).reshape(-1, 3) / 255
    np.testing.assert_allclose(found["mean"], levels.mean(0), atol=1e-6)
    np.testing.assert_allclose(found["std"], levels.std(0), atol=1e-6)

    made = with_statistics(recipe, found)
    assert (made.augment.mean, made.augment.std) == (found["mean"], found["std"])
    assert not asked(made)
    assert with_statistics(recipe, None) is recipe


def test_only_what_is_asked_for_is_replaced(make_recipe: RecipeMaker, images: Dataset) -> None:
    recipe = make_recipe("image", **{"augment.std": "measure"})
    made = with_statistics(recipe, measured(recipe, images, nothing))
    assert made.augment.mean == recipe.augment.mean
    assert isinstance(made.augment.std, list)
    assert not asked(make_recipe("image"))


@pytest.mark.parametrize("modality", ["image", "video"])
def test_samples_that_cannot_be_used_are_passed_over(
    make_recipe: RecipeMaker, images: Dataset, videos: Dataset, damaged: Any, modality: str
) -> None:
    dataset = images if modality == "image" else videos
    recipe = make_recipe(modality, **{"augment.mean": "measure"})
    whole = measured(recipe, dataset, nothing)["mean"]
    torn = measured(recipe, damaged(dataset, "train", {3: lambda data: bytes(len(data))}), nothing)["mean"]
    assert torn != whole
    np.testing.assert_allclose(torn, whole, atol=0.1)
