"""A preview shows what the training gets, and says what was done to it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import new_arrays
from pipeline.tasks import task_of
from pipeline.training.first_batch import draw_preview, first_states
from pipeline.training.objective import Objective
from pipeline.training.step import Normalize

MIXING = {"kind": "choose", "of": [{"kind": "mixup", "probability": 0.5}, {"kind": "cutmix", "probability": 0.5}]}


@pytest.mark.parametrize(("modality", "shown"), [("image", 8), ("video", 4)])
def test_the_pictures_are_those_of_the_first_step(
    make_recipe: Any, request: pytest.FixtureRequest, tmp_path: Path, modality: str, shown: int
) -> None:
    dataset = request.getfixturevalue(modality + "s")
    recipe = make_recipe(modality, mixing=MIXING, **{"train.batch_size": 22, "train.mix_group": 3})
    source = BatchSource(recipe, dataset, "train", training=True)
    arrays = new_arrays(source.layout())
    BatchMaker(source).make(0, 0, arrays)
    samples = first_states(recipe, dataset)
    assert len(samples) == shown
    normalize = Normalize.of(recipe, torch.device("cpu"))
    x = normalize(arrays["pixels"][:, 0])
    objective = Objective(recipe, task_of(recipe, ("blue", "green", "red")))
    drawn = objective.draw(len(x), x.shape[-2:], (0, 0), 0, x.device)
    assert drawn is not None
    as_pixels = drawn.apply(x).movedim(1, -1) * normalize.std + normalize.mean
    for i, (stored, augmented, seen) in enumerate(samples):
        assert stored[0].shape[-3:] == ((20, 24, 3) if modality == "image" else (32, 40, 3))
        assert stored[1].endswith(f": {dataset.classes[arrays['label'][i]]}")
        assert np.array_equal(augmented[0], arrays["pixels"][i, 0])
        assert augmented[1].startswith("RandomCrop")
        assert np.abs(seen[0] - as_pixels[i].numpy()).max() <= 0.51
        shares = [part.split() for part in seen[1].removeprefix("target: ").split(" + ")]
        assert sum(float(share) for share, _ in shares) == pytest.approx(1, abs=0.02)
        assert {name.strip("'") for _, name in shares} <= set(dataset.classes)
    draw_preview(recipe, dataset, tmp_path / "preview.png")
    with Image.open(tmp_path / "preview.png") as picture:
        assert picture.width == 1800


def test_without_mixing_there_are_two_states(make_recipe: Any, images: Any) -> None:
    recipe = make_recipe(
        "image", **{"train.batch_size": 5, "augment.train": [{"CenterCrop": {"height": 16, "width": 16}}]}
    )
    samples = first_states(recipe, images)
    assert [len(states) for states in samples] == [2] * 5
    assert re.match(r"10\d\d\.jpg, stored, 24 x 20 px: ", samples[0][0][1])
    assert samples[0][1][1] == "CenterCrop"
    assert np.array_equal(samples[0][1][0], samples[0][0][0][2:18, 4:20])
