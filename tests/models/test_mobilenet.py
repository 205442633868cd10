"""MobileNetV2 against torchvision's and TSM's names, shapes and counts."""

import hashlib
from typing import Any

import pytest
import torch
from torch import nn

import models
from models.mobilenet import InvertedResidual


def on_meta(name: str, num_classes: int, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return models.build(name, num_classes, **options)


@pytest.mark.parametrize(
    ("name", "num_classes", "params", "digest"),
    [
        ("mobilenetv2", 1000, 3_504_872, "37bbbce8932fd0c4"),
        ("tsm_mobilenetv2", 27, 2_258_459, "3e1265de136728bd"),
    ],
)
def test_state_dicts_are_the_releases(name: str, num_classes: int, params: int, digest: str) -> None:
    model = on_meta(name, num_classes)
    lines = [f"{key} {tuple(value.shape)}" for key, value in model.state_dict().items()]
    assert len(lines) == 314
    assert sum(p.numel() for p in model.parameters()) == params
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == digest


def test_names_nested_and_not() -> None:
    nested, flat = on_meta("mobilenetv2", 1000).state_dict(), on_meta("tsn_mobilenetv2", 400).state_dict()
    assert (
        nested["features.2.conv.1.0.weight"].shape == flat["base_model.features.2.conv.3.weight"].shape == (96, 1, 3, 3)
    )
    assert (
        nested["features.1.conv.1.weight"].shape == flat["base_model.features.1.conv.3.weight"].shape == (16, 32, 1, 1)
    )
    assert nested["classifier.1.weight"].shape == (1000, 1280)
    assert sum(p.numel() for p in on_meta("tsn_mobilenetv2", 400).parameters()) == 2_736_272


def test_identity_paths() -> None:
    blocks = [m for m in on_meta("mobilenetv2", 10).modules() if isinstance(m, InvertedResidual)]
    assert len(blocks) == 17
    assert [i for i, block in enumerate(blocks, 1) if block.has_identity] == [3, 5, 6, 8, 9, 10, 12, 13, 15, 16]


@pytest.mark.parametrize(("width_mult", "stem", "last"), [(0.35, 16, 1280), (1.0, 32, 1280), (1.4, 48, 1792)])
def test_widths(width_mult: float, stem: int, last: int) -> None:
    model: Any = on_meta("mobilenetv2", 10, width_mult=width_mult)
    assert model.features[0][0].out_channels == stem
    assert model.num_features == last


def test_strides() -> None:
    model: Any = models.build("mobilenetv2", 10, width_mult=0.1).eval()
    x = torch.zeros(1, 3, 64, 64)
    sizes = []
    for layer in model.features:
        x = layer(x)
        sizes.append(x.shape[-1])
    assert sizes == [32, 32, 16, 16, 8, 8, 8, 4, 4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2]


def test_features_are_pooled() -> None:
    model: Any = models.build("mobilenetv2", 10, width_mult=0.1).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert model.features(x).shape == (2, 1280)
        torch.testing.assert_close(model.classifier(model.features(x)), model(x))


def test_head_starts_small() -> None:
    torch.manual_seed(0)
    head: Any = models.build("mobilenetv2", 400, width_mult=0.1).get_submodule("classifier.1")
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not head.bias.any()
