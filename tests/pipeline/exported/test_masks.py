"""Masks come back in px of the file, whatever the model saw of it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pipeline.base.errors import ZoetropeError
from pipeline.decode.image import decode_image, encode_jpeg
from pipeline.exported.folder import check_together
from pipeline.exported.predictions import predictions
from pipeline.exported.predictor import Predictor
from pipeline.exported.serving import serve
from tests.pipeline.exported.untrained import exported_to

SIZES = ((40, 64), (48, 32), (40, 64), (2, 1))
"""The last one is less than what the model takes."""


@pytest.fixture
def models(make_recipe: Any, tmp_path: Path) -> list[Predictor]:
    """Two that see pictures alike, shrunk to 32 px, and one that sees the middle of them."""
    data: Any = SimpleNamespace(classes=["sky", "sea"])
    changes = {
        "task": {"kind": "segmentation"},
        "data.source": {"kind": "digit-scenes", "samples": 100},
        "model": {"kind": "unet_bn", "width": 4},
        "augment.train": [{"RandomCrop": {"height": 16, "width": 16}}],
        "augment.eval": [],
        "shard.image.short_side": 32,
    }
    middle = {"augment.eval": [{"CenterCrop": {"height": 16, "width": 16}}]}
    packed = {"shard.samples": 7}  # which nobody sees
    recipes = [make_recipe("image", **{**changes, **more}) for more in ({}, packed, middle)]
    folders = [exported_to(tmp_path / str(i), recipe, data, seed=i) for i, recipe in enumerate(recipes)]
    return [Predictor(folder, "cpu") for folder in folders]


def pictures() -> list[bytes]:
    rng = np.random.default_rng(0)
    return [encode_jpeg(rng.integers(0, 255, (*size, 3), np.uint8), 95) for size in SIZES]


@pytest.mark.parametrize("workers", [0, 1])
def test_masks_and_drawings_have_the_size_of_the_file(models: list[Predictor], workers: int) -> None:
    model = models[1]
    found = list(predictions([model], pictures(), workers, draw=True, batch_size=3))
    for each, content, (height, width) in zip(found, pictures(), SIZES, strict=True):
        mask = cv2.imdecode(np.frombuffer(each.answer["mask"], np.uint8), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        assert mask.shape == (height, width)
        assert np.array_equal(mask, model(content)["mask"])  # alone, as in a batch
        assert sum(each.answer["shares"]) == pytest.approx(1)
        assert each.drawing is not None
        assert each.drawing.pixels.shape == (height, width, 3)
    assert len({each.answer["mask"] for each in found}) > 1


def test_a_server_draws_them_where_it_is_asked_to(models: list[Predictor]) -> None:
    table = serve(models[0], [(None, content) for content in pictures()], overlay=True)
    assert [decode_image(one).shape for one in table["overlay"]] == [(*size, 3) for size in SIZES]


def test_masks_are_averaged_of_models_that_see_alike(models: list[Predictor]) -> None:
    check_together(models[:2])
    (both,) = predictions(models[:2], pictures()[:1])
    alone = [model.infer(model.pixels(pictures()[0])[None])["scores"] for model in models[:2]]
    assert len(np.unique(alone[0].argmax(1) != alone[1].argmax(1))) == 2  # they differ
    seen = models[0].sight(pictures()[0])
    assert seen.frame is not None
    assert seen.size == SIZES[0]
    mean = {"scores": (alone[0] + alone[1]) / 2}
    expected = models[0].task.restored(mean, torch.from_numpy(seen.frame), seen.size)["mask"][0].numpy()
    mask = cv2.imdecode(np.frombuffer(both.answer["mask"], np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(mask, expected)  # type: ignore[arg-type]
    with pytest.raises(ZoetropeError, match=r"/2/model sees pictures otherwise than .*/0/model"):
        check_together([models[0], models[2]])
