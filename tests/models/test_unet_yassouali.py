"""U-Net of pytorch-segmentation; its names and shapes are in `weights/test_layouts.py`."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

import models
from models.options import OPTIONS
from models.weights import load_weights
from pipeline.base.errors import ZoetropeError
from pipeline.recipe.section import without_late
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import count, on_meta

YASSOUALI = {"variant": "yassouali"}


def small(**options: Any) -> Any:
    torch.manual_seed(0)
    return models.build("unet_bn", 5, width=4, **YASSOUALI, **options)


def test_parameters() -> None:
    assert count(on_meta("unet_bn", 21, **YASSOUALI)) == 26_356_469


def test_the_first_of_two_convolutions_has_half_the_channels() -> None:
    model: Any = on_meta("unet_bn", 21, **YASSOUALI)
    pairs = [model.start_conv, model.down3.down_conv, model.middle_conv, model.up4.up_conv]
    assert [(p[0].out_channels, p[3].out_channels) for p in pairs] == [(32, 64), (256, 512), (512, 1024), (32, 64)]


def test_a_step_up_by_hand() -> None:
    """Of 5 x 7 places 3 x 4 were left, which become 6 x 8 and are stretched to 5 x 7."""
    model = small().eval()
    x, skip = torch.randn(1, 16, 3, 4), torch.randn(1, 8, 5, 7)
    with torch.no_grad():
        larger = functional.interpolate(model.up3.up(x), (5, 7), mode="bilinear", align_corners=True)
        assert torch.equal(model.up3(x, skip), model.up3.up_conv(torch.cat([skip, larger], 1)))


@pytest.mark.parametrize("size_px", [(16, 16), (33, 47)])
def test_sizes_and_gradients(size_px: tuple[int, int]) -> None:
    model = small()
    logits = model(torch.randn(2, 3, *size_px))
    assert logits.shape == (2, 5, *size_px)
    logits.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_gradient_checkpointing_changes_nothing() -> None:
    x, found = torch.randn(2, 3, 32, 32), []
    for on in (False, True):
        model = small(gradient_checkpointing=on)
        model(x).square().sum().backward()
        found.append([p.grad for p in model.parameters()] + list(model.buffers()))
    torch.testing.assert_close(*found)


def test_the_other_variants_weights_are_refused() -> None:
    with pytest.raises(ZoetropeError, match="these weights are not this model's"):
        load_weights(small(), models.build("unet_bn", 5, width=4).state_dict())


def test_recipes_of_before_the_variant_keep_their_values() -> None:
    family = OPTIONS["unet_bn"]
    for options, said in (({}, False), (YASSOUALI, True)):
        chosen = family.model_validate({"kind": "unet_bn", **options})
        assert ("variant" in without_late(chosen, chosen.model_dump())) == said


@pytest.mark.slow
def test_onnx(tmp_path: Path) -> None:
    assert_onnx_agrees("unet_bn", tmp_path, **YASSOUALI)
