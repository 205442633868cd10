"""DeepLab v3 in cascade: rates and counts of its blocks, and weights that start it."""

from pathlib import Path
from typing import Any

import pytest
import torch

import models
from models.weights import load_weights
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import count, on_meta

NAME = "deeplabv3cascade_resnet50"


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ({}, {4: [2, 4, 2], 5: [4, 8, 4], 6: [8, 16, 8], 7: [16, 32, 16]}),
        ({"output_stride": 8, "blocks": 5, "multi_grid": (1, 2, 4)}, {4: [4, 8, 16], 5: [8, 16, 32]}),
        ({"blocks": 4, "multi_grid": (1, 1, 1)}, {4: [2, 2, 2]}),
    ],
)
def test_a_block_dilates_twice_as_much_as_the_one_before(options: dict[str, Any], rates: dict[int, list[int]]) -> None:
    trunk: Any = on_meta(NAME, 21, **options).get_submodule("backbone")
    layers = {n: trunk.get_submodule(f"layer{n}") for n in range(4, 8) if hasattr(trunk, f"layer{n}")}
    assert {n: [unit.conv2.dilation[0] for unit in layer] for n, layer in layers.items()} == rates
    assert [trunk.layer3[0].conv2.dilation[0], trunk.strides[3]] == (
        [2, 8] if options.get("output_stride") else [1, 16]
    )


def test_parameters() -> None:
    """ResNet-50's 23,508,032, three blocks of three bottlenecks without a projection, and a 1x1 convolution."""
    unit = 2048 * 512 + 512 * 512 * 9 + 512 * 2048 + 2 * (512 + 512 + 2048)
    assert count(on_meta(NAME, 21)) == 23_508_032 + 9 * unit + 2048 * 21 + 21


def test_the_last_block_gives_the_logits() -> None:
    torch.manual_seed(0)
    model: Any = models.build(NAME, 3, width=4).eval()
    seen: list[Any] = []
    model.backbone.layer7[-1].register_forward_hook(lambda _, __, y: seen.append(y))
    with torch.no_grad():
        logits = model(torch.randn(1, 3, 64, 96))
    assert seen[0].shape == (1, 128, 4, 6)
    assert logits.shape == (1, 3, 64, 96)


def test_a_classifier_starts_all_but_the_new_blocks() -> None:
    own, model = models.build("resnet50", 9, width=4), models.build(NAME, 5, width=4)
    report = load_weights(model, own.state_dict())
    assert report.unexpected == ("fc.weight", "fc.bias")
    new = ("backbone.layer5.", "backbone.layer6.", "backbone.layer7.", "classifier.")
    assert report.missing == tuple(key for key in model.state_dict() if key.startswith(new))
    report = load_weights(models.build(NAME, 3, width=4), model.state_dict())
    assert report.replaced == ("classifier.head.weight", "classifier.head.bias")


@pytest.mark.slow
def test_onnx(tmp_path: Path) -> None:
    assert_onnx_agrees(NAME, tmp_path)
