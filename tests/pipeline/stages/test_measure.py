"""One process measures: each sample once, by the mean of the models' answers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.decode.limits import BadSample
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import new_arrays
from pipeline.shards.dataset import Dataset
from pipeline.stages.measure import Trained, alike, measured_split, merged, pictures, predict_part
from pipeline.stages.train import WEIGHTS
from pipeline.training.model import load_model
from pipeline.training.step import Normalize
from tests.pipeline.exported.untrained import trained


@pytest.mark.parametrize("modality", ["image", "video"])
def test_pictures_are_those_of_the_evaluation(make_recipe: Any, request: pytest.FixtureRequest, modality: str) -> None:
    dataset: Dataset = request.getfixturevalue(modality + "s")
    source = BatchSource(make_recipe(modality), dataset, "val")
    arrays = new_arrays(source.layout())
    BatchMaker(source).make(0, 0, arrays)
    found = pictures([Trained(source.recipe, Path())], dataset, np.array([5, 0, 5]))
    assert np.array_equal(np.stack([pixels for pixels, _ in found]), arrays["pixels"][[5, 0, 5], 0])
    assert all(not more for _, more in found)


def test_a_picture_of_another_size_is_told_of(make_recipe: Any, images: Dataset) -> None:
    pad = [{"PadIfNeeded": {"min_height": 22, "min_width": 22}}]
    recipe = make_recipe("image", **{"shard.image.short_side": 16, "augment.eval": pad})
    with pytest.raises(BadSample, match=r"augment.eval makes 24 x 22 px of it, and a batch has 22 x 22 px"):
        pictures([Trained(recipe, Path())], images, np.array([0, 1]))


def test_the_test_split_is_measured_where_there_is_one(images: Dataset) -> None:
    assert measured_split(images) == "val"
    tested = replace(images, splits=images.splits | {"test": images.splits["train"]})
    assert measured_split(tested) == "test"


def test_several_models_are_measured_by_the_mean_of_what_each_says(
    make_recipe: Any, images: Dataset, tmp_path: Path
) -> None:
    """Two see alike and share batches, the third sees a smaller crop."""
    crop = {"augment.eval": [{"CenterCrop": {"height": 12, "width": 12}}]}
    recipes = [make_recipe("image"), make_recipe("image", seed=1), make_recipe("image", **crop)]
    models = [
        Trained(recipe, trained(recipe, images, tmp_path / str(i), seed=i) / WEIGHTS)
        for i, recipe in enumerate(recipes)
    ]
    assert alike(models) == [models[:2], models[2:]]
    alone = [predict_part([model], images).tally.rows["scores"] for model in models]
    assert all(np.abs(alone[0] - other).max() > 0.01 for other in alone[1:])
    part = predict_part(models, images)
    assert part.sample.tolist() == list(range(7))
    scores = part.tally.rows["scores"]
    np.testing.assert_allclose(scores, sum(alone) / 3, atol=1e-6)
    labels = np.array([0, 1, 2, 0, 1, 2, 0])
    assert part.tally.sums[0] == pytest.approx(-np.log(scores[np.arange(7), labels]).sum(), rel=1e-5)
    assert part.tally.sums[1] == (scores.argmax(1) == labels).sum()
    assert part.tally.sums[-1] == 7


@pytest.mark.parametrize("modality", ["image", "video"])
def test_views_are_averaged_the_same_over_any_ranks(
    make_recipe: Any, request: pytest.FixtureRequest, tmp_path: Path, modality: str
) -> None:
    """By probabilities, or by logits: the normalised geometric mean of a sample's probabilities."""
    dataset: Dataset = request.getfixturevalue(modality + "s")
    asked = {"evaluate.crops": 3, "evaluate.clips": 2} if modality == "video" else {"evaluate.crops": 10}
    recipe = make_recipe(modality, **asked)
    weights = trained(recipe, dataset, tmp_path) / WEIGHTS
    maker = BatchMaker(
        BatchSource(recipe, dataset, "val", num_clips=recipe.evaluate.clips, num_crops=recipe.evaluate.crops)
    )
    arrays = new_arrays(maker.source.layout())
    maker.make(0, 0, arrays)
    views = np.swapaxes(arrays["pixels"], 0, 1)[:, :7]
    model = load_model(recipe, 3, weights, torch.device("cpu"))
    with torch.no_grad():
        normalize = Normalize.of(recipe, torch.device("cpu"))
        each = torch.stack([model(normalize(np.ascontiguousarray(view))) for view in views]).double()
    logits = make_recipe(modality, **asked, **{"evaluate.average": "logits"})
    for one, expected in ((recipe, each.softmax(-1).mean(0)), (logits, each.mean(0).softmax(-1))):
        for world in (1, 3):
            parts = [predict_part([Trained(one, weights)], dataset, rank, world) for rank in range(world)]
            sample, tally = merged(parts)
            assert sample.tolist() == list(range(7))
            assert tally.sums[-1] == 7
            np.testing.assert_allclose(tally.rows["scores"], expected, atol=1e-5)
    assert (each.softmax(-1).mean(0) - each.mean(0).softmax(-1)).abs().max() > 1e-4


def test_a_bad_sample_is_measured_of_no_model(make_recipe: Any, images: Dataset, damaged: Any, tmp_path: Path) -> None:
    broken = damaged(images, "val", {3: lambda data: bytes(len(data))})
    crop = {"augment.eval": [{"CenterCrop": {"height": 12, "width": 12}}]}
    recipes = [make_recipe("image", **{"data.max_bad": 0.5}, **more) for more in ({}, crop)]
    models = [Trained(one, trained(one, images, tmp_path / str(i)) / WEIGHTS) for i, one in enumerate(recipes)]
    part = predict_part(models, broken)
    assert part.sample.tolist() == [0, 1, 2, 4, 5, 6]
    assert list(part.bad) == [3]
    assert part.tally.sums[-1] == 6


def test_another_split_than_the_measured_one(make_recipe: Any, images: Dataset, tmp_path: Path) -> None:
    recipe = make_recipe("image")
    models = [Trained(recipe, trained(recipe, images, tmp_path) / WEIGHTS)]
    part = predict_part(models, images, split="train")
    assert len(part.sample) == images.split("train").samples
    assert predict_part(models, images, split="val").tally.rows["label"].tolist() == [0, 1, 2, 0, 1, 2, 0]
