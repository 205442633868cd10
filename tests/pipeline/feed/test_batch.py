from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.base.errors import ZoetropeError
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import new_arrays
from pipeline.shards.dataset import Dataset


def made(source: BatchSource, epoch: int, k: int) -> tuple[dict[str, np.ndarray], int]:
    """This rank's part, without what only fills it up, and the samples of the whole batch."""
    arrays = new_arrays(source.layout())
    count, samples = BatchMaker(source).make(epoch, k, arrays)
    counts = arrays["weight"][:count] > 0
    return {name: array[:count][counts] for name, array in arrays.items()}, samples


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 9), st.integers(0, 3), st.integers(0, 3))
def test_ranks_share_the_global_batch_whatever_their_number(
    make_recipe: Any, images: Dataset, world: int, epoch: int, k: int
) -> None:
    recipe = make_recipe("image", **{"train.keep_last": True, "train.batch_size": 9})
    k = min(k, 2)
    whole, samples = made(BatchSource(recipe, images, "train", training=True), epoch, k)
    assert samples == len(whole["label"]) == (9 if k < 2 else 8)
    sources = [BatchSource(recipe, images, "train", rank, world, training=True) for rank in range(world)]
    parts = [made(source, epoch, k) for source in sources]
    assert {of for _, of in parts} == {samples}
    for name in ("pixels", "label", "weight", "sample"):
        assert np.array_equal(np.concatenate([part[name] for part, _ in parts]), whole[name])
    assert np.array_equal(whole["sample"], sources[0].positions(epoch, k).sample)


def test_an_epoch_has_every_sample_once_and_the_next_another_order(make_recipe: Any, images: Dataset) -> None:
    source = BatchSource(make_recipe("image", **{"train.keep_last": True}), images, "train", training=True)
    assert source.steps == 4
    epochs = [np.concatenate([made(source, epoch, k)[0]["sample"] for k in range(4)]).tolist() for epoch in (0, 1)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(26))
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("world", [1, 2, 5])
def test_evaluation_walks_every_sample_once_in_order(make_recipe: Any, images: Dataset, world: int) -> None:
    recipe = make_recipe("image", **{"train.batch_size": 3})
    source = BatchSource(recipe, images, "val")
    assert source.steps == 3
    seen, labels = [], []
    for k in range(3):
        for rank in range(world):
            part, _ = made(BatchSource(recipe, images, "val", rank, world), 0, k)
            seen += part["sample"].tolist()
            labels += part["label"].tolist()
    assert seen == list(range(7))
    assert labels == [0, 1, 2, 0, 1, 2, 0]


def test_a_rank_without_a_sample_gets_one_of_weight_zero(make_recipe: Any, images: Dataset) -> None:
    recipe = make_recipe("image", **{"train.batch_size": 3})
    source = BatchSource(recipe, images, "val", 0, 2)  # the last batch has one sample, which is rank 1's
    arrays = new_arrays(source.layout())
    assert BatchMaker(source).make(0, 2, arrays) == (1, 1)
    assert arrays["weight"][0] == 0


def test_layout(make_recipe: Any, videos: Dataset) -> None:
    recipe = make_recipe("video", **{"train.batch_size": 7})
    shapes = {name: shape for name, (_, shape) in BatchSource(recipe, videos, "train", 0, 2, True).layout().items()}
    assert shapes == {"pixels": (4, 1, 3, 28, 28, 3), "label": (4,), "weight": (4,), "sample": (4,)}
    views = BatchSource(recipe, videos, "val", num_clips=2, num_crops=3).layout()["pixels"]
    assert views == (np.dtype(np.uint8), (7, 6, 3, 28, 28, 3))


def test_steps_count_on_over_epochs(make_recipe: Any, images: Dataset) -> None:
    source = BatchSource(make_recipe("image"), images, "train", training=True)
    assert [source.place(step) for step in (0, 2, 3, 7)] == [(0, 0), (0, 2), (1, 0), (2, 1)]


def test_transforms_of_no_fixed_size_are_refused(make_recipe: Any, images: Dataset) -> None:
    recipe = make_recipe("image", **{"augment.train": [{"HorizontalFlip": {}}]})
    with pytest.raises(ZoetropeError, match="end the list with a crop or resize to a fixed size"):
        BatchSource(recipe, images, "train", training=True).layout()


def test_transforms_that_do_not_fit_a_sample_are_told_of_it(make_recipe: Any, images: Dataset) -> None:
    recipe = make_recipe("image", **{"augment.eval": [{"CenterCrop": {"height": 22, "width": 22}}]})
    maker = BatchMaker(BatchSource(recipe, images, "val"))
    arrays = {
        name: np.ones(shape, dtype) for name, (dtype, shape) in BatchSource(recipe, images, "train").layout().items()
    }
    assert maker.make(0, 0, arrays) == (7, 7)
    assert sorted(maker.bad) == list(range(7))
    assert "an augmentation does not fit frames of 24 x 20 px" in maker.bad[0]
    assert not arrays["weight"][:7].any()


@pytest.mark.parametrize(("split", "samples"), [("train", 26), ("val", 7)])
def test_pictures_that_come_out_in_another_size_are_bad_samples(
    make_recipe: Any, images: Dataset, split: str, samples: int
) -> None:
    key = {"train": "augment.train", "val": "augment.eval"}[split]
    # What is stored with a short side of 16 px becomes 22 x 22, and these pictures of 24 x 20 become 24 x 22.
    changes = {"shard.image.short_side": 16, key: [{"PadIfNeeded": {"min_height": 22, "min_width": 22}}]}
    source = BatchSource(make_recipe("image", **changes), images, split, training=split == "train")
    arrays = new_arrays(source.layout())
    assert arrays["pixels"].shape == (8, 1, 22, 22, 3)
    maker = BatchMaker(source)
    if split == "train":
        with pytest.raises(ZoetropeError, match="no sample of the split 'train'"):
            maker.make(0, 0, arrays)
    else:
        assert maker.make(0, 0, arrays) == (7, 7)
        assert not arrays["weight"][:7].any()
    assert sorted(maker.bad) == list(range(samples))
    assert maker.bad[0] == (
        f"{key} makes 24 x 22 px of it, and a batch has 22 x 22 px: end the list with a crop or resize to a fixed size"
    )
