"""ConvNeXt against torchvision's names, shapes, counts and costs, and a block by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

import models
from models.complexity import complexity
from models.convnext import Block, ConvNeXtMaps
from models.weights import load_weights
from pipeline.base.errors import ZoetropeError
from tests.models.exported import assert_onnx_agrees
from tests.models.small import small
from tests.models.test_resnet import on_meta
from tests.models.weights.test_layouts import Rules, State, digest, renamed

# From our names to torchvision's, written the other way than the code has them.
TORCHVISION: Rules = [
    (r"^downsample_layers\.(\d)\.", lambda found: f"features.{2 * int(found[1])}."),
    (r"^stages\.(\d)\.", lambda found: f"features.{2 * int(found[1]) + 1}."),
    (r"\.dwconv\.", ".block.0."),
    (r"\.norm\.", ".block.2."),
    (r"\.pwconv1\.", ".block.3."),
    (r"\.pwconv2\.", ".block.5."),
    (r"\.gamma$", ".layer_scale"),
    (r"^norm\.", "classifier.0."),
    (r"^head\.", "classifier.2."),
]


def torchvisions(state: State) -> State:
    return {
        name: value[:, None, None] if name.endswith("layer_scale") else value
        for name, value in renamed(state, TORCHVISION).items()
    }


@pytest.mark.parametrize(
    ("name", "parameters", "giga"),
    [
        ("convnext_tiny", 28_589_128, 4.456),
        ("convnext_small", 50_223_688, 8.684),
        ("convnext_base", 88_591_464, 15.355),
        ("convnext_large", 197_767_336, 34.361),
    ],
)
def test_parameters_and_multiply_adds(name: str, parameters: int, giga: float) -> None:
    cost = complexity(name, 1000)
    assert cost.parameters == parameters
    assert cost.multiply_adds / 1e9 == pytest.approx(giga, abs=0.0005)


@pytest.mark.parametrize(
    ("name", "known"), [("convnext_tiny", (182, "ddd0f74f783edf2b")), ("convnext_small", (344, "6c5c4d12ec41e5f7"))]
)
def test_names_and_shapes_are_torchvisions(name: str, known: tuple[int, str]) -> None:
    assert digest(torchvisions(on_meta(name, 1000).state_dict())) == known


def test_torchvisions_layout_loads_without_a_rest() -> None:
    torch.manual_seed(0)
    own, other = (models.build("convnext_tiny", 5, **small("convnext_tiny")).eval() for _ in range(2))
    report = load_weights(other, torchvisions(own.state_dict()))
    assert len(report.loaded) == len(own.state_dict())
    assert (report.family, report.missing, report.unexpected, report.resized) == ("ConvNeXt", (), (), {})
    x = torch.randn(1, 3, 40, 33)
    with torch.no_grad():
        assert torch.equal(own(x), other(x))


def test_a_block_by_hand() -> None:
    torch.manual_seed(0)
    block = Block(4, 0.0).eval()
    assert block.gamma.tolist() == pytest.approx([1e-6] * 4)
    with torch.no_grad():
        block.gamma.normal_()
        x = torch.randn(2, 4, 9, 8)
        y = functional.conv2d(x, block.dwconv.weight, block.dwconv.bias, padding=3, groups=4)
        y = (y - y.mean(1, keepdim=True)) / (y.var(1, keepdim=True, correction=0) + 1e-6).sqrt()
        y = torch.einsum("bchw,oc->bohw", y, block.pwconv1.weight) + block.pwconv1.bias[:, None, None]
        y = y * 0.5 * (1 + torch.erf(y / 2**0.5))
        y = torch.einsum("bchw,oc->bohw", y, block.pwconv2.weight) + block.pwconv2.bias[:, None, None]
        torch.testing.assert_close(block(x), x + block.gamma[:, None, None] * y, rtol=1e-4, atol=1e-5)


def test_start() -> None:
    torch.manual_seed(0)
    model: Any = models.build("convnext_tiny", 10, depths=(1, 1, 1, 1))
    for module in (model.stages[2][0].pwconv1, model.downsample_layers[3][1], model.head):
        assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert not module.bias.any()
    whole: Any = on_meta("convnext_small", 10)
    rates = [block.drop_path.rate for stage in whole.stages for block in stage]
    assert rates == pytest.approx([0.4 * i / 35 for i in range(36)])


def test_maps_for_dense_tasks() -> None:
    """They take the classifier's weights, and give its stages' maps, each behind a norm of its own."""
    torch.manual_seed(0)
    classifier: Any = models.build("convnext_tiny", 5, **small("convnext_tiny")).eval()
    design: Any = {**small("convnext_tiny"), "gradient_checkpointing": True}
    dense: Any = ConvNeXtMaps(**design)
    missing, unexpected = dense.load_state_dict(classifier.state_dict(), strict=False)
    assert sorted(missing) == sorted(f"norm{i}.{name}" for i in range(4) for name in ("weight", "bias"))
    assert unexpected == ["norm.weight", "norm.bias", "head.weight", "head.bias"]
    x = torch.randn(1, 3, 33, 47)
    with torch.no_grad():
        maps = dense.maps(x)
        assert [tuple(y.shape[1:]) for y in maps] == [(4, 16, 23), (8, 8, 11), (16, 4, 5), (32, 2, 2)]
        for i, (y, raw) in enumerate(zip(maps, classifier.stage_maps(x), strict=True)):
            torch.testing.assert_close(y, dense.get_submodule(f"norm{i}")(raw))


def test_too_small_images_are_refused_in_words() -> None:
    with pytest.raises(ZoetropeError, match=r"ConvNeXt takes images .* at least 16 x 16 px, got the shape"):
        models.build("convnext_tiny", 5, **small("convnext_tiny"))(torch.zeros(1, 3, 15, 64))


@pytest.mark.slow
def test_onnx(tmp_path: Path) -> None:
    assert_onnx_agrees("convnext_tiny", tmp_path)
