from typing import Any

import pytest

from pipeline.base.bands import RGB, Bands
from pipeline.base.errors import ZoetropeError
from pipeline.recipe import Recipe, check, plain
from tests.conftest import tiny_values

GREY: dict[str, Any] = {"data.channels": 1, "augment.mean": [0.4], "augment.std": [0.2]}


def a_recipe(modality: str = "image", **changes: Any) -> Recipe:
    return check(tiny_values(modality, **changes), "a test's recipe")


def test_the_model_takes_as_many_channels_as_the_pictures_have() -> None:
    recipe = a_recipe(**GREY)
    assert (recipe.model.in_channels, recipe.data.bands) == (1, Bands(1))
    assert plain(check(plain(recipe), "again")) == plain(recipe)
    assert a_recipe(**{**GREY, "augment.mean": "measure"}).augment.mean == "measure"


def test_a_recipe_that_says_nothing_is_as_it_was() -> None:
    recipe = a_recipe()
    assert recipe.data.bands == RGB
    assert not {"channels", "bits"} & plain(recipe)["data"].keys()


SEEN_IN_PLACE = {"kind": "webdataset", "urls": "a.tar", "val_urls": "b.tar"}


@pytest.mark.parametrize(
    ("modality", "changes", "words"),
    [
        ("image", {"data.channels": 1}, "augment.mean: has 3 numbers, and the pictures have 1 channels; give one a"),
        ("image", {"data.channels": 1}, "channel, such as [0.449], ImageNet's of grey"),
        ("image", {"augment.std": [0.2]}, "augment.std: has 1 numbers, and the pictures have 3 channels"),
        ("image", {**GREY, "model.in_channels": 2}, "model.in_channels: 2 channels, and the pictures have 1; leave"),
        ("image", {"model.in_channels": 10}, "model.in_channels: 10 channels, and the pictures have 3; leave it out"),
        (
            "image",
            {**GREY, "model": {"kind": "timesformer_base"}},
            "data.channels: timesformer_base takes RGB, and no grey; models for it",
        ),
        ("image", {**GREY, "data.source": SEEN_IN_PLACE}, "data.channels: pictures in tars that stay where they are"),
        ("video", {**GREY}, "data.channels: videos and folders of frames are RGB of 8 bits"),
        ("video", {"data.bits": 16}, "data.bits: videos and folders of frames are RGB of 8 bits"),
        ("image", {"data.bits": 12}, "data.bits: 12 is not allowed; allowed are 8 or 16"),
        ("image", {"data.channels": 0}, "data.channels: "),
        ("image", {"augment.mean": "measured"}, "augment.mean: "),
    ],
)
def test_what_cannot_be_is_refused_in_words(modality: str, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ZoetropeError) as error:
        a_recipe(modality, **changes)
    assert words in str(error.value)
