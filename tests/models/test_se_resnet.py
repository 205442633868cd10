"""SE-ResNet against the release's names, shapes and counts, and its blocks by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import models
from models.complexity import count_parameters
from models.se_resnet import SEBottleneck, SqueezeExcitation
from models.weights import load_weights
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import on_meta
from tests.models.weights.test_layouts import Rules, digest, renamed

# From our names to theirs.
CADENE: Rules = [(r"^(?=conv1\.|bn1\.)", "layer0."), (r"^fc\.", "last_linear.")]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("se_resnet50", 28_088_024), ("se_resnet101", 49_326_872), ("se_resnet152", 66_821_848)],
)
def test_parameters(name: str, parameters: int) -> None:
    assert count_parameters(on_meta(name, 1000)) == parameters


def test_names_and_shapes_are_the_releases() -> None:
    state = renamed(on_meta("se_resnet50", 1000).state_dict(), CADENE)
    assert digest(state) == (384, "a560733d27ddc96a")


def test_the_release_loads_without_a_rest() -> None:
    torch.manual_seed(0)
    own, other = (models.build("se_resnet50", 5, width=4).eval() for _ in range(2))
    report = load_weights(other, renamed(own.state_dict(), CADENE))
    assert (len(report.loaded), report.missing, report.unexpected) == (384, (), ())
    x = torch.randn(2, 3, 47, 33)
    with torch.no_grad():
        assert torch.equal(own(x), other(x))


def test_strides_and_pool_are_caffes() -> None:
    model: Any = on_meta("se_resnet50", 10, width=4)
    assert (model.layer2[0].conv1.stride, model.layer2[0].conv2.stride) == ((2, 2), (1, 1))
    assert model.stem(torch.zeros(1, 3, 224, 224, device="meta")).shape == (1, 4, 56, 56)
    # Its pool begins at the first pixel: no border.
    assert torch.equal(model.maxpool(torch.arange(16.0).reshape(1, 4, 4))[0], torch.tensor([[10.0, 11], [14, 15]]))


def test_channels_are_scaled_by_what_their_means_say() -> None:
    excite = SqueezeExcitation(16)
    with torch.no_grad():
        excite.fc1.weight.fill_(1)
        excite.fc1.bias.fill_(-2)  # type: ignore[union-attr]  # there is one
        excite.fc2.weight.fill_(1)
        excite.fc2.bias.fill_(0.5)  # type: ignore[union-attr]
        x = torch.zeros(1, 16, 2, 2)
        x[0, 0] = torch.tensor([[1.0, 2], [4, 9]])  # of a mean of 4
        gate = torch.tensor(4 - 2 + 0.5).sigmoid()
        torch.testing.assert_close(excite(x), x * gate)


def test_a_block_is_excited_before_the_shortcut() -> None:
    torch.manual_seed(0)
    block, x = SEBottleneck(16, 4, 1, caffe=True).eval(), torch.randn(2, 16, 5, 5)
    with torch.no_grad():
        nn.init.constant_(block.se_module.fc2.bias, -1e3)  # type: ignore[arg-type]  # gates of 0: nothing is added
        assert torch.equal(block(x), x.relu())


@pytest.mark.slow
def test_onnx(tmp_path: Path) -> None:
    assert_onnx_agrees("se_resnet50", tmp_path)
